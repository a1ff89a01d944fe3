#include "isolation/seccomp/assemble.h"

#include <algorithm>
#include <limits>
#include <map>

namespace mote::seccomp {
namespace {

using Node = Decision::Node;
using Step = Decision::Step;
using Op = Question::Op;

// A conditional jump skips at most 255 instructions; two hops may come in between.
constexpr std::size_t kReach = 250;
constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();

std::uint16_t jump_of(Op op) {
  switch (op) {
    case Op::kIs:
    case Op::kMaskedIs:
      return BPF_JMP | BPF_JEQ | BPF_K;
    case Op::kAtLeast:
      return BPF_JMP | BPF_JGE | BPF_K;
    case Op::kAbove:
      return BPF_JMP | BPF_JGT | BPF_K;
    case Op::kHasAny:
      return BPF_JMP | BPF_JSET | BPF_K;
  }
  return BPF_JMP | BPF_JEQ | BPF_K;
}

// Writes from the end to the begin, since jumps lead forward: where one leads to is there already.
class Assembler {
 public:
  Assembler(const Decision& decision, Node root)
      : steps_(decision.steps()),
        sizes_(steps_.size(), 1),
        loads_(steps_.size(), false),
        begins_(steps_.size(), kNowhere),
        loaded_begins_(steps_.size(), kNowhere) {
    look_at(root);
  }

  OwnedProgram write(Node root) {
    emit(root);
    if (steps_[root].is_end) reach(root, false);
    std::ranges::reverse(code_);
    return std::move(code_);
  }

 private:
  // How much follows each step, and which of them is reached without its word in the register.
  void look_at(Node root) {
    std::vector<bool> reached(steps_.size(), false);
    reached[root] = loads_[root] = true;
    for (Node node = 0; node < steps_.size(); ++node) {
      const Step& step = steps_[node];
      if (step.is_end) continue;
      sizes_[node] = std::min(1 + sizes_[step.yes] + sizes_[step.no], std::size_t{1} << 30);
    }
    for (Node node = root + 1; node-- > 0;) {
      const Step& step = steps_[node];
      if (!reached[node] || step.is_end) continue;
      for (const Node next : {step.yes, step.no}) {
        reached[next] = true;
        if (!keeps_word(step, steps_[next])) loads_[next] = true;
      }
    }
  }

  static bool keeps_word(const Step& step, const Step& next) {
    return step.question.op != Op::kMaskedIs && step.question.word == next.question.word;
  }

  void put(std::uint16_t code, std::uint32_t value) { code_.push_back(BPF_STMT(code, value)); }

  // How much the next instruction skips when it jumps to `place`.
  std::size_t distance(std::size_t place) const { return code_.size() - place - 1; }

  // A place within reach of the next instruction that leads to `node`.
  std::size_t reach(Node node, bool has_word) {
    const Step& step = steps_[node];
    std::size_t& place = has_word ? loaded_begins_[node] : begins_[node];
    if (place != kNowhere && distance(place) <= kReach) return place;
    if (step.is_end) {
      put(BPF_RET | BPF_K, step.verdict);
      // Whatever the register has.
      begins_[node] = loaded_begins_[node] = code_.size() - 1;
    } else {
      // From here on the hop is what is jumped to.
      put(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(distance(place)));
      place = code_.size() - 1;
    }
    return place;
  }

  void emit(Node node) {
    const Step& step = steps_[node];
    if (step.is_end || loaded_begins_[node] != kNowhere) return;
    // The smaller part next to it, so that the way to the other is short.
    const bool yes_is_smaller = sizes_[step.yes] < sizes_[step.no];
    emit(yes_is_smaller ? step.no : step.yes);
    emit(yes_is_smaller ? step.yes : step.no);
    const bool yes_keeps = keeps_word(step, steps_[step.yes]);
    const bool no_keeps = keeps_word(step, steps_[step.no]);
    reach(step.yes, yes_keeps);
    const std::size_t no = reach(step.no, no_keeps);
    const std::size_t yes = reach(step.yes, yes_keeps);
    code_.push_back(BPF_JUMP(jump_of(step.question.op), step.question.value,
                             static_cast<std::uint8_t>(distance(yes)),
                             static_cast<std::uint8_t>(distance(no))));
    if (step.question.op == Op::kMaskedIs) put(BPF_ALU | BPF_AND | BPF_K, step.question.mask);
    loaded_begins_[node] = code_.size() - 1;
    if (!loads_[node]) return;
    put(BPF_LD | BPF_W | BPF_ABS, step.question.word);
    begins_[node] = code_.size() - 1;
  }

  const std::vector<Step>& steps_;
  std::vector<std::size_t> sizes_;
  std::vector<bool> loads_;
  OwnedProgram code_;                       // its end first
  std::vector<std::size_t> begins_;         // where a step begins, in code_
  std::vector<std::size_t> loaded_begins_;  // the same, where its word is in the register
};

}  // namespace

OwnedProgram assemble(const Decision& decision, Decision::Node root) {
  return Assembler(decision, root).write(root);
}

}  // namespace mote::seccomp
