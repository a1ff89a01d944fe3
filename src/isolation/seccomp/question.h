// What a filter can ask about a call, and what follows from an answer.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "isolation/seccomp/rules.h"

namespace mote::seccomp {

// About one 32-bit word of what the kernel shows of a call (struct seccomp_data), as one jump asks
// it.
struct Question {
  enum class Op : std::uint8_t { kIs, kAtLeast, kAbove, kHasAny, kMaskedIs };
  std::uint8_t word = 0;  // its offset
  Op op = Op::kIs;
  std::uint32_t mask = 0;   // of kMaskedIs: the bits that are compared
  std::uint32_t value = 0;  // of kHasAny: the bits of which one must be there
  auto operator<=>(const Question&) const = default;
};

// A question and the answer that is wanted.
struct Claim {
  Question question;
  bool yes = true;
  auto operator<=>(const Claim&) const = default;
};
using Claims = std::vector<Claim>;

// `conditions` in these terms: they hold where all claims of one of the lists do. Error: they would
// be too many.
Result<std::vector<Claims>> claims_of(const std::vector<Condition>& conditions);

// The answer to `asked`, where `known` holds; nothing: it may be either.
std::optional<bool> answer(const Question& asked, const Claim& known);

}  // namespace mote::seccomp
