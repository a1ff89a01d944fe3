// CountedArray lays out what KVM calls kvm_cpuid2 and kvm_msrs: a 32-bit count, 32 bits of padding,
// then elements. The kernel's own declarations end in an empty struct, which has size 0 in C and 1
// in C++, so their members cannot be used.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mote::kvm {

template <typename Element>
class CountedArray {
  static_assert(sizeof(Element) % sizeof(std::uint64_t) == 0);

 public:
  // Room for `count` elements, all zero; the count says so.
  explicit CountedArray(std::size_t count)
      : words_(1 + count * sizeof(Element) / sizeof(std::uint64_t)), room_(count) {
    words_[0] = count;
  }
  explicit CountedArray(std::span<const Element> elements) : CountedArray(elements.size()) {
    std::ranges::copy(elements, data());
  }

  // What the ioctl takes.
  void* argument() { return words_.data(); }
  // The elements, as many as the count says now.
  std::span<const Element> elements() const {
    const auto count = static_cast<std::uint32_t>(words_[0]);
    return {reinterpret_cast<const Element*>(words_.data() + 1),
            std::min<std::size_t>(count, room_)};
  }
  Element* data() { return reinterpret_cast<Element*>(words_.data() + 1); }

 private:
  std::vector<std::uint64_t> words_;
  std::size_t room_;
};

}  // namespace mote::kvm
