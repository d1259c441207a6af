// C++: exceptions through frames and threads, iostreams, std::thread and its friends, static destructors.
// compat: variants=pie,static cpus=2
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <mutex>
#include <numeric>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct Guard {
  std::string name;
  explicit Guard(std::string n) : name(std::move(n)) {}
  ~Guard() { std::cout << "destroyed " << name << std::endl; }
};

static Guard at_end("static object");
static thread_local int mine = 5;

static int deep(int n) {
  Guard *none = nullptr;
  (void)none;
  if (n == 0) throw std::out_of_range("at the bottom");
  return deep(n - 1) + 1;
}

static void exceptions() {
  try {
    Guard local("local");
    deep(200);
  } catch (const std::exception &e) {
    std::cout << "caught " << e.what() << '\n';
  }
  try {
    try {
      std::stoi("no number");
    } catch (...) {
      std::throw_with_nested(std::runtime_error("outer"));
    }
  } catch (const std::exception &e) {
    std::cout << e.what() << " over ";
    try {
      std::rethrow_if_nested(e);
    } catch (const std::invalid_argument &inner) {
      std::cout << inner.what() << '\n';
    }
  }
  try {
    std::vector<int>().at(3);
  } catch (const std::out_of_range &) {
    std::cout << "out of range\n";
  }
  try {
    std::vector<char> huge(std::size_t(1) << 46);
    std::cout << "huge " << huge.size() << '\n';
  } catch (const std::bad_alloc &e) {
    std::cout << e.what() << '\n';
  }
}

static void threads() {
  std::mutex lock;
  std::condition_variable ready;
  std::atomic<long> sum{0};
  int turn = 0;
  std::vector<std::thread> all;
  for (int i = 0; i < 6; i++)
    all.emplace_back([&, i] {
      mine += i;
      for (int k = 0; k < 1000; k++) sum += k;
      std::unique_lock<std::mutex> held(lock);
      ready.wait(held, [&] { return turn == i; });
      std::cout << "thread " << i << " has " << mine << '\n';
      turn++;
      ready.notify_all();
    });
  for (auto &t : all) t.join();
  std::cout << "sum " << sum << ", main has " << mine << '\n';

  auto value = std::async(std::launch::async, [] { return 6 * 7; });
  auto thrown = std::async(std::launch::async, []() -> int { throw std::logic_error("in a thread"); });
  std::cout << value.get() << '\n';
  try {
    thrown.get();
  } catch (const std::logic_error &e) {
    std::cout << "from " << e.what() << '\n';
  }
  std::promise<std::string> promise;
  auto future = promise.get_future();
  std::cout << "timeout " << (future.wait_for(std::chrono::milliseconds(5)) == std::future_status::timeout) << '\n';
  std::thread([&] { promise.set_value("kept"); }).join();
  std::cout << future.get() << '\n';
}

static void streams() {
  auto path = std::filesystem::temp_directory_path() / "skiff-cxx";
  {
    std::ofstream out(path);
    for (int i = 0; i < 1000; i++) out << i << ' ' << i * 0.5 << '\n';
  }
  std::ifstream in(path);
  long a, total = 0;
  double b, half = 0;
  while (in >> a >> b) total += a, half += b;
  std::cout << total << ' ' << half << ' ' << std::filesystem::file_size(path) << '\n';
  std::filesystem::remove(path);
  std::cout << "exists " << std::filesystem::exists(path) << '\n';
  std::ostringstream text;
  text << std::hex << std::showbase << 255 << std::boolalpha << ' ' << true;
  std::cout << text.str() << '\n';
  std::string word;
  int words = 0;
  while (std::cin >> word) words++;
  std::cout << "words " << words << '\n';
  std::cout << std::regex_replace("a1b22", std::regex("[0-9]+"), "#") << '\n';
  auto start = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(3));
  std::cout << "slept " << (std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(3)) << '\n';
}

int main() {
  exceptions();
  threads();
  streams();
  return 7;
}
