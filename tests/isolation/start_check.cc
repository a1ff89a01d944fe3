// Says what a program finds that src/programs/start.c started: test_start.py compares.
#include <sys/auxv.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

// Made before main(), with the environment.
const std::string made_before = std::string("before main, with ") + std::getenv("START_CHECK");

struct AtEnd {
  ~AtEnd() { std::puts("static destructor"); }
} at_end;

thread_local int of_a_thread = 5;

std::uintptr_t guard(bool canary) {
  std::uintptr_t value = 0;
  if (canary) {
    asm volatile("mov %%fs:0x28, %0" : "=r"(value));
  } else {
    asm volatile("mov %%fs:0x30, %0" : "=r"(value));
  }
  return value;
}

// What the kernel gave for that.
std::uintptr_t random_word(int index) {
  std::uintptr_t words[2];
  std::memcpy(words, reinterpret_cast<const void*>(::getauxval(AT_RANDOM)), sizeof words);
  return words[index];
}

bool guards_are_set() {
  return guard(true) == (random_word(0) & ~std::uintptr_t{0xff}) && guard(false) == random_word(1);
}

// Sizes for each way that the library has of copying and filling.
bool copies(std::size_t size) {
  std::vector<char> from(size);
  for (std::size_t i = 0; i < size; ++i) from[i] = static_cast<char>(i * 7 + i / 251);
  std::vector<char> to(size);
  std::memcpy(to.data(), from.data(), size);
  for (std::size_t i = 0; i < size; ++i) {
    if (to[i] != from[i]) return false;
  }
  const std::size_t shift = size / 3;
  std::memmove(from.data() + shift, from.data(), size - shift);
  if (std::memcmp(from.data() + shift, to.data(), size - shift) != 0) return false;
  std::memset(to.data(), 3, size);
  for (const char byte : to) {
    if (byte != 3) return false;
  }
  return true;
}

bool copies_all() {
  for (const std::size_t size :
       {1UL, 7UL, 31UL, 100UL, 700UL, 5000UL, 100'000UL, 900'000UL, 9'000'001UL, 40'000'000UL}) {
    if (!copies(size)) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  std::printf("%d arguments, the last is %s\n%s\n", argc, argv[argc - 1], made_before.c_str());
  std::printf("guards %s\n", guards_are_set() ? "set" : "missing");
  std::thread([] {
    of_a_thread = 7;
    std::printf("in a thread %d, guards %s\n", of_a_thread, guards_are_set() ? "set" : "missing");
  }).join();
  std::printf("in the first thread %d\n", of_a_thread);
  std::printf("copies %s\n", copies_all() ? "right" : "wrong");
  std::printf("page size %ld, signal stack %s\n", ::sysconf(_SC_PAGESIZE),
              ::sysconf(_SC_MINSIGSTKSZ) >= 2048 ? "known" : "unknown");
  try {
    throw std::runtime_error("caught");
  } catch (const std::runtime_error& error) {
    std::puts(error.what());
  }
  std::atexit([] { std::puts("atexit"); });
  return 7;
}
