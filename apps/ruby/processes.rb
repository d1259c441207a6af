# Processes from Ruby.
$stdout.sync = true
require 'open3'
require 'rbconfig'
ruby = RbConfig.ruby
pid = fork { exit 7 }
Process.wait pid
puts "fork #{$?.exitstatus}"
puts "system #{system('exit 0')} #{system('exit 3')} #{$?.exitstatus} #{system('/no/such/program').inspect}"
puts "backquotes #{`echo hello | tr a-z A-Z`}"
IO.popen([ruby, '-e', 'puts gets.upcase'], 'r+') do |io|
  io.puts 'piped'
  puts io.gets
end
out, err, status = Open3.capture3('cat; echo oops >&2; exit 4', stdin_data: "data\n")
p out, err, status.exitstatus
reader, writer = IO.pipe
pids = (1..5).map { |n| fork { reader.close; writer.puts n * n } }
writer.close
puts "squares #{reader.readlines.map(&:to_i).sort.join(' ')}"
pids.each { |child| Process.wait child }
pid = spawn('sleep 100', pgroup: true)
Process.kill :TERM, -Process.getpgid(pid)
Process.wait pid
puts "killed #{$?.termsig}"
trap(:CHLD) { puts 'child' }
Process.wait(fork { exit! 0 })
sleep 0.05
trap(:CHLD, 'DEFAULT')
thread = Process.detach(fork { exit 2 })
puts "detached #{thread.value.exitstatus}"
begin
  Process.wait
rescue Errno::ECHILD => e
  puts e.class
end
at_exit { puts 'at exit' }
exec ruby, '-e', 'puts "executed"; exit 11'
