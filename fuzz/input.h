// Input takes a target's bytes apart into numbers, choices and texts. Once they are used up, every
// number is 0 and every text empty.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

namespace mote::fuzz {

class Input {
 public:
  explicit Input(std::span<const std::uint8_t> bytes) : data_(bytes.data(), bytes.size()) {}

  bool done() { return data_.remaining_bytes() == 0; }
  template <typename T>
  T number() {
    return data_.ConsumeIntegral<T>();
  }
  // From 0 to `limit` - 1, which is at least 0.
  template <typename T>
  T below(T limit) {
    static_assert(std::is_unsigned_v<T>);
    return data_.ConsumeIntegralInRange<T>(0, static_cast<T>(limit - 1));
  }
  // Once in `times`, as far as bytes are even.
  bool once_in(std::uint8_t times) { return below<std::uint8_t>(times) == 1 % times; }
  // At most `limit` bytes.
  std::string text(std::size_t limit) {
    return data_.ConsumeBytesAsString(below<std::size_t>(limit + 1));
  }
  // All that is left.
  std::string rest() { return data_.ConsumeRemainingBytesAsString(); }
  template <typename T, std::size_t N>
  T pick(const std::array<T, N>& from) {
    return from[below(N)];
  }
  // A struct of integers, any bytes of it.
  template <typename T>
  T value() {
    static_assert(std::is_trivially_copyable_v<T>);
    T made{};
    data_.ConsumeData(&made, sizeof made);
    return made;
  }

 private:
  FuzzedDataProvider data_;
};

}  // namespace mote::fuzz
