# Threads, JSON, files, sets, exceptions: each line of output is compared with Linux's own.
require 'json'
require 'set'
require 'tempfile'
require 'digest'

queue = Queue.new
threads = 4.times.map { |i| Thread.new { 100.times { |n| queue << i * n } } }
threads.each(&:join)
puts queue.size
total = 0
total += queue.pop until queue.empty?
puts total

data = { 'name' => 'skiff', 'list' => [1, 2.5, nil, true], 'nested' => { 'x' => "\u00e9" } }
puts JSON.generate(data)
puts JSON.parse(JSON.pretty_generate(data)) == data

Tempfile.create('demo') do |f|
  f.puts((1..1000).to_a)
  f.flush
  puts File.foreach(f.path).sum(&:to_i)
end
puts Digest::SHA256.hexdigest('skiff')
puts Set.new([3, 1, 3]).sort.inspect
puts (1..Float::INFINITY).lazy.select(&:even?).map { |x| x**2 }.first(4).inspect
begin
  Integer('zz')
rescue ArgumentError => e
  puts e.message
end
puts 2**200, 10.fdiv(3), 'straße'.upcase
Signal.trap('USR1') { puts 'signal' }
Process.kill('USR1', Process.pid)
sleep 0.1
exit 4
