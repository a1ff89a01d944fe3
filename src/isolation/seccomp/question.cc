#include "isolation/seccomp/question.h"

#include <linux/seccomp.h>
#include <stddef.h>

#include <bit>

#include "isolation/seccomp/program.h"

namespace mote::seccomp {
namespace {

static_assert(std::endian::native == std::endian::little);

using Op = Question::Op;

// Of one rule. Half as many for each condition of a whole argument that is no equality.
constexpr std::size_t kMostLists = 256;

struct Words {
  std::uint8_t low, high;
};

Words words_of(const Condition& condition) {
  const std::size_t low = offsetof(seccomp_data, args) + condition.argument * sizeof(std::uint64_t);
  return {static_cast<std::uint8_t>(low), static_cast<std::uint8_t>(low + sizeof(std::uint32_t))};
}

// Of these bits the word has `value`.
Claims masked(std::uint8_t word, std::uint32_t mask, std::uint32_t value) {
  value &= mask;
  if (mask == 0) return {};
  if (~mask == 0) return {{.question = {.word = word, .value = value}}};
  const Question any{.word = word, .op = Op::kHasAny, .value = mask};
  if (value == 0) return {{.question = any, .yes = false}};
  if (std::has_single_bit(mask)) return {{.question = any}};
  return {{.question = {.word = word, .op = Op::kMaskedIs, .mask = mask, .value = value}}};
}

// How a word compares.
Claim compared(Condition::Op op, std::uint8_t word, std::uint32_t value) {
  Claim claim{.question = {.word = word, .value = value}};
  const bool at_least = op == Condition::Op::kLess || op == Condition::Op::kAtLeast;
  const bool above = op == Condition::Op::kAtMost || op == Condition::Op::kGreater;
  if (at_least) claim.question.op = Op::kAtLeast;
  if (above) claim.question.op = Op::kAbove;
  claim.yes =
      op == Condition::Op::kEqual || op == Condition::Op::kAtLeast || op == Condition::Op::kGreater;
  return claim;
}

// All 64 bits: what the upper word decides, or else the lower one.
std::vector<Claims> compared_whole(const Condition& condition) {
  const auto [low, high] = words_of(condition);
  const auto value = static_cast<std::uint32_t>(condition.value);
  const auto upper = static_cast<std::uint32_t>(condition.value >> 32);
  const Claim equal{.question = {.word = high, .value = upper}};
  switch (condition.op) {
    case Condition::Op::kEqual:
      return {{equal, compared(condition.op, low, value)}};
    case Condition::Op::kNotEqual:
      return {{compared(condition.op, high, upper)}, {compared(condition.op, low, value)}};
    case Condition::Op::kLess:
    case Condition::Op::kAtMost:
      return {{compared(Condition::Op::kLess, high, upper)},
              {equal, compared(condition.op, low, value)}};
    case Condition::Op::kGreater:
    case Condition::Op::kAtLeast:
      return {{compared(Condition::Op::kGreater, high, upper)},
              {equal, compared(condition.op, low, value)}};
    case Condition::Op::kMasked:
      break;
  }
  Claims both = masked(high, static_cast<std::uint32_t>(condition.mask >> 32), upper);
  for (const Claim& claim : masked(low, static_cast<std::uint32_t>(condition.mask), value)) {
    both.push_back(claim);
  }
  return {both};
}

std::vector<Claims> claims_of(const Condition& condition) {
  if (condition.wide) return compared_whole(condition);
  const std::uint8_t word = words_of(condition).low;
  const auto value = static_cast<std::uint32_t>(condition.value);
  if (condition.op == Condition::Op::kMasked)
    return {masked(word, static_cast<std::uint32_t>(condition.mask), value)};
  return {{compared(condition.op, word, value)}};
}

bool holds(const Question& question, std::uint32_t word) {
  switch (question.op) {
    case Op::kIs:
      return word == question.value;
    case Op::kAtLeast:
      return word >= question.value;
    case Op::kAbove:
      return word > question.value;
    case Op::kHasAny:
      return (word & question.value) != 0;
    case Op::kMaskedIs:
      return (word & question.mask) == question.value;
  }
  return false;
}

// The least and the greatest that a word can be.
struct Range {
  std::uint64_t first = 0, last = 0xffffffff;
};

Range range_of(const Claim& known) {
  const std::uint64_t value = known.question.value;
  const std::uint64_t begin = known.question.op == Op::kAbove ? value + 1 : value;
  return known.yes ? Range{.first = begin} : Range{.last = begin - 1};
}

std::optional<bool> answer_within(const Question& asked, Range range) {
  if (asked.op == Op::kIs) {
    if (asked.value < range.first || asked.value > range.last) return false;
    return std::nullopt;
  }
  if (asked.op != Op::kAtLeast && asked.op != Op::kAbove) return std::nullopt;
  const std::uint64_t begin = std::uint64_t{asked.value} + (asked.op == Op::kAbove ? 1 : 0);
  if (range.first >= begin) return true;
  if (range.last < begin) return false;
  return std::nullopt;
}

// None of the bits of `mask` is there.
std::optional<bool> answer_without(const Question& asked, std::uint32_t mask) {
  switch (asked.op) {
    case Op::kIs:
    case Op::kMaskedIs:
      if ((asked.value & mask) != 0) return false;
      return std::nullopt;
    case Op::kHasAny:
      if ((asked.value & ~mask) == 0) return false;
      return std::nullopt;
    case Op::kAtLeast:
    case Op::kAbove:
      break;
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<Claims>> claims_of(const std::vector<Condition>& conditions) {
  std::vector<Claims> lists(1);
  for (const Condition& condition : conditions) {
    const std::vector<Claims> either = claims_of(condition);
    if (lists.size() * either.size() > kMostLists) {
      return fail(ErrorKind::kInvalid, "its conditions stand for more than {} rules", kMostLists);
    }
    std::vector<Claims> product;
    for (const Claims& more : either) {
      for (Claims list : lists) {
        list.insert(list.end(), more.begin(), more.end());
        product.push_back(std::move(list));
      }
    }
    lists = std::move(product);
  }
  return lists;
}

std::optional<bool> answer(const Question& asked, const Claim& known) {
  const Question& told = known.question;
  if (asked == told) return known.yes;
  if (asked.word != told.word) return std::nullopt;
  // Nobody knows yet what it will be compared with.
  if (is_stand_in(asked.value) || is_stand_in(told.value)) return std::nullopt;
  switch (told.op) {
    case Op::kIs:
      if (known.yes) return holds(asked, told.value);
      return std::nullopt;
    case Op::kAtLeast:
    case Op::kAbove:
      if (told.op == Op::kAtLeast && told.value == 0) return std::nullopt;
      return answer_within(asked, range_of(known));
    case Op::kHasAny:
      if (!known.yes) return answer_without(asked, told.value);
      if (asked.op == Op::kIs && !holds(told, asked.value)) return false;
      return std::nullopt;
    case Op::kMaskedIs:
      if (known.yes && asked.op == Op::kIs && !holds(told, asked.value)) return false;
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace mote::seccomp
