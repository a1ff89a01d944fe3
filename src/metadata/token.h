// Tokens open a session with the metadata service (version 2, as IMDSv2): who has one may ask until
// it expires.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mote::metadata {

// How long a token may live, in seconds.
inline constexpr std::uint32_t kShortestTokenLife = 1;
inline constexpr std::uint32_t kLongestTokenLife = 21600;

// A token is the time of its end, encrypted and authenticated (XChaCha20-Poly1305) under a key that
// is made at the first use and never leaves this object: nothing is kept of a token, so none costs
// memory, and a token is worth nothing in another process, to another microVM, or after its end.
class Tokens {
 public:
  // The length of a token, of letters, digits, '-' and '_'.
  static constexpr std::size_t kLength = 64;
  // Time since some moment, the same for as long as the process lives.
  using Clock = std::function<std::chrono::milliseconds()>;

  // By default time goes on while the host sleeps.
  explicit Tokens(Clock clock = {});
  Tokens(const Tokens&) = delete;
  Tokens& operator=(const Tokens&) = delete;
  ~Tokens();

  // A token that is good for `life` seconds, kShortestTokenLife to kLongestTokenLife. Errors:
  // kInvalid: another life; kInternal: the library refuses its work;
  // others: the host has no random numbers.
  Result<std::string> issue(std::uint32_t life);
  // Whether `token` is one of issue()'s, unchanged, and its time has not come. Takes the same work
  // whatever is in it.
  bool good(std::string_view token) const;

 private:
  static constexpr std::size_t kKeySize = 32;

  Result<void> make_key();

  Clock clock_;
  std::array<unsigned char, kKeySize> key_{};
  bool has_key_ = false;
};

}  // namespace mote::metadata
