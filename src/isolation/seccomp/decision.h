// What becomes of a call, as a graph of questions: from its root on, each answer leads to the next
// question or to what becomes of the call. Parts that are alike are there once.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "isolation/seccomp/question.h"

namespace mote::seccomp {

// What becomes of a call for which all claims hold.
struct Case {
  Claims claims;
  std::uint32_t verdict = 0;  // what the filter returns
  bool often = false;         // asked for before others
};

class Decision {
 public:
  using Node = std::uint32_t;
  struct Step {
    Question question;
    Node yes = 0, no = 0;
    bool is_end = false;
    std::uint32_t verdict = 0;  // of an end
    auto operator<=>(const Step&) const = default;
  };

  // Nodes come after those that they lead to.
  const std::vector<Step>& steps() const { return steps_; }

  Node end(std::uint32_t verdict) {
    return add({.question = {}, .is_end = true, .verdict = verdict});
  }
  // `yes`, where the two are the same.
  Node ask(const Question& question, Node yes, Node no);
  // What the first of `cases` says whose claims hold; `otherwise` where there is none. Error: it
  // would be too large a graph.
  Result<Node> choose(std::span<const Case> cases, Node otherwise);

  struct Call {
    std::uint32_t number = 0;
    Node node = 0;
    bool often = false;
  };
  // By the number of the call; `calls` are in the order of their numbers. The kernel goes through
  // it for each number that there is when it takes a filter, to find the calls that are allowed
  // whatever their arguments are: so the way to many numbers is short, and that to one that is made
  // often as well.
  Node by_number(std::span<const Call> calls, Node otherwise);

 private:
  // Of a case: the claims that are not known to hold yet, a bit each.
  struct Left {
    std::uint32_t of = 0;
    std::uint32_t claims = 0;
    auto operator<=>(const Left&) const = default;
  };
  struct Choice {
    std::span<const Case> cases;
    Node otherwise;
    std::map<std::vector<Left>, Node> known;
  };
  Node add(const Step& step);
  static const Claim& first_of(const Choice& choice, const Left& left);
  static Question next_question(const Choice& choice, const std::vector<Left>& lefts);
  static std::vector<Left> after(const Choice& choice, const std::vector<Left>& lefts,
                                 const Claim& known);
  Result<Node> choose(Choice& choice, const std::vector<Left>& lefts);

  struct Range {
    std::uint32_t first = 0;
    Node node = 0;
    std::uint64_t weight = 0;
  };
  static bool are_numbers_among_others(std::span<const Range> ranges);
  Node among(std::span<const Range> ranges);

  std::vector<Step> steps_;
  std::map<Step, Node> index_;
};

}  // namespace mote::seccomp
