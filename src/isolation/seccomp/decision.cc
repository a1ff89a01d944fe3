#include "isolation/seccomp/decision.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <set>

#include "isolation/seccomp/program.h"

namespace mote::seccomp {
namespace {

using Op = Question::Op;

// A bit each in Left.
constexpr std::size_t kMostClaims = 32;
// What is larger becomes no program that the kernel takes.
constexpr std::size_t kMostSteps = 4 * std::size_t{BPF_MAXINSNS};
// So many values of one word are looked for one after the other; more are halved first.
constexpr std::size_t kInARow = 10;
// Numbers among others, likewise: here the kernel goes through all of them.
constexpr std::size_t kNumbersInARow = 3;

// Against that of a number that is as good as any.
constexpr std::uint64_t kOftenWeight = 256;
// That of all numbers behind the last one that a filter knows: the kernel has no more of them.
constexpr std::uint64_t kRestWeight = 16;

}  // namespace

Decision::Node Decision::add(const Step& step) {
  const auto [found, is_new] = index_.try_emplace(step, static_cast<Node>(steps_.size()));
  if (is_new) steps_.push_back(step);
  return found->second;
}

Decision::Node Decision::ask(const Question& question, Node yes, Node no) {
  return yes == no ? yes : add({.question = question, .yes = yes, .no = no});
}

// Cases
// ------------------------------------------------------------------------------------------------

const Claim& Decision::first_of(const Choice& choice, const Left& left) {
  return choice.cases[left.of].claims[static_cast<std::size_t>(std::countr_zero(left.claims))];
}

// What to ask where these cases are left: what the first of them claims; where many claim that one
// word is this or that, whether it is among the greater half of them.
Question Decision::next_question(const Choice& choice, const std::vector<Left>& lefts) {
  const Question first = first_of(choice, lefts.front()).question;
  if (first.op != Op::kIs || choice.cases[lefts.front().of].often) return first;
  std::set<std::uint32_t> values;
  for (const Left& left : lefts) {
    if (left.claims == 0) break;
    const Claim& claim = first_of(choice, left);
    if (claim.question.op != Op::kIs || claim.question.word != first.word || !claim.yes) continue;
    // Nobody knows yet whether it is greater or less.
    if (is_stand_in(claim.question.value)) return first;
    values.insert(claim.question.value);
  }
  if (values.size() <= kInARow) return first;
  const auto middle = std::next(values.begin(), static_cast<std::ptrdiff_t>(values.size() / 2));
  return {.word = first.word, .op = Op::kAtLeast, .value = *middle};
}

// The cases that are left when `known` holds.
std::vector<Decision::Left> Decision::after(const Choice& choice, const std::vector<Left>& lefts,
                                            const Claim& known) {
  std::vector<Left> still;
  for (Left left : lefts) {
    bool possible = true;
    for (std::uint32_t rest = left.claims; rest != 0; rest &= rest - 1) {
      const auto bit = static_cast<std::size_t>(std::countr_zero(rest));
      const Claim& claim = choice.cases[left.of].claims[bit];
      const auto told = answer(claim.question, known);
      if (!told) continue;
      possible = possible && *told == claim.yes;
      left.claims &= ~(std::uint32_t{1} << bit);
    }
    if (possible) still.push_back(left);
    if (possible && left.claims == 0) break;  // those behind it are never asked for
  }
  return still;
}

Result<Decision::Node> Decision::choose(Choice& choice, const std::vector<Left>& lefts) {
  if (lefts.empty()) return choice.otherwise;
  if (lefts.front().claims == 0) return end(choice.cases[lefts.front().of].verdict);
  if (const auto found = choice.known.find(lefts); found != choice.known.end())
    return found->second;
  if (steps_.size() > kMostSteps || choice.known.size() > kMostSteps) {
    return fail(ErrorKind::kInvalid, "the rules for it are too intricate");
  }
  const Question question = next_question(choice, lefts);
  MOTE_TRY(const Node yes,
           choose(choice, after(choice, lefts, {.question = question, .yes = true})));
  MOTE_TRY(const Node no,
           choose(choice, after(choice, lefts, {.question = question, .yes = false})));
  const Node node = ask(question, yes, no);
  choice.known.emplace(lefts, node);
  return node;
}

Result<Decision::Node> Decision::choose(std::span<const Case> cases, Node otherwise) {
  Choice choice{.cases = cases, .otherwise = otherwise, .known = {}};
  std::vector<Left> lefts;
  for (const bool often : {true, false}) {
    for (std::size_t i = 0; i < cases.size(); ++i) {
      if (cases[i].often != often) continue;
      const std::size_t claims = cases[i].claims.size();
      if (claims > kMostClaims) {
        return fail(ErrorKind::kInvalid, "a rule for it compares more than {} times", kMostClaims);
      }
      const auto all = static_cast<std::uint32_t>((std::uint64_t{1} << claims) - 1);
      lefts.push_back({.of = static_cast<std::uint32_t>(i), .claims = all});
    }
  }
  if (lefts.size() > BPF_MAXINSNS) {
    return fail(ErrorKind::kInvalid, "there are more than {} rules for it", BPF_MAXINSNS);
  }
  return choose(choice, lefts);
}

// Numbers
// ------------------------------------------------------------------------------------------------

// Some single numbers, and all between and around them is alike.
bool Decision::are_numbers_among_others(std::span<const Range> ranges) {
  if (ranges.size() < 3 || ranges.size() % 2 == 0 || ranges.size() / 2 > kNumbersInARow)
    return false;
  for (std::size_t i = 1; i < ranges.size(); i += 2) {
    const bool is_one = ranges[i + 1].first - ranges[i].first == 1;
    if (!is_one || ranges[i + 1].node != ranges[0].node) return false;
  }
  return true;
}

Decision::Node Decision::among(std::span<const Range> ranges) {
  if (ranges.size() == 1) return ranges.front().node;
  constexpr std::uint8_t kNumber = offsetof(seccomp_data, nr);
  if (are_numbers_among_others(ranges)) {
    Node node = ranges[0].node;
    for (std::size_t i = ranges.size() - 1; i > 0; i -= 2) {
      const Range& one = ranges[i - 1];
      node = ask({.word = kNumber, .value = one.first}, one.node, node);
    }
    return node;
  }
  std::uint64_t all = 0;
  for (const Range& range : ranges) all += range.weight;
  std::size_t split = 1;
  std::uint64_t best = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t below = 0;
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    below += ranges[i - 1].weight;
    const std::uint64_t difference = std::max(below, all - below) - std::min(below, all - below);
    if (difference >= best) continue;
    best = difference;
    split = i;
  }
  const Node no = among(ranges.first(split));
  const Node yes = among(ranges.subspan(split));
  return ask({.word = kNumber, .op = Op::kAtLeast, .value = ranges[split].first}, yes, no);
}

Decision::Node Decision::by_number(std::span<const Call> calls, Node otherwise) {
  std::vector<Range> ranges;
  const auto add_range = [&](std::uint32_t first, Node node, std::uint64_t weight) {
    if (weight == 0) return;
    if (!ranges.empty() && ranges.back().node == node) {
      ranges.back().weight += weight;
    } else {
      ranges.push_back({.first = first, .node = node, .weight = weight});
    }
  };
  std::uint32_t next = 0;
  for (const Call& call : calls) {
    add_range(next, otherwise, call.number - next);
    add_range(call.number, call.node, call.often ? kOftenWeight : 1);
    next = call.number + 1;
  }
  add_range(next, otherwise, kRestWeight);
  return among(ranges);
}

}  // namespace mote::seccomp
