-- Tables, strings, closures, coroutines, metatables, files: each line of output is compared with Linux's own.
local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
print("fib", fib(22))

local words = {}
for w in ("the quick brown fox jumps over the lazy dog"):gmatch("%a+") do words[#words + 1] = w end
table.sort(words)
print(table.concat(words, ","))

local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end end)
print(co(), co(), co())

local Point = setmetatable({}, { __call = function(c, x, y) return setmetatable({ x = x, y = y }, c) end })
Point.__index = Point
Point.__add = function(a, b) return Point(a.x + b.x, a.y + b.y) end
Point.__tostring = function(p) return ("(%g, %g)"):format(p.x, p.y) end
print(tostring(Point(1, 2) + Point(3, 4.5)))

local name = os.tmpname()
local f = assert(io.open(name, "w"))
for i = 1, 1000 do f:write(i, "\n") end
f:close()
local sum = 0
for line in io.lines(name) do sum = sum + tonumber(line) end
assert(os.remove(name))
print("sum", sum, io.open(name) == nil)
print(select(2, pcall(error, { code = 7 })).code)
print(string.pack("<i4", 258):byte(1, 4))
print(math.maxinteger, math.pi, 7 // 2, 7 % -3, 2 ^ 0.5)
print(os.date("!%Y-%m-%d %H:%M:%S", 86400 * 365))
collectgarbage()
os.exit(3)
