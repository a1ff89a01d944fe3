// The sequences of a block (RFC 8878, 3.1.1.3.2): so many literals, then a copy of earlier bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "storage/zstd/fse.h"

namespace mote::storage::zstd {

struct Sequence {
  std::size_t literals = 0;
  std::size_t length = 0;    // of the copy
  std::size_t distance = 0;  // how far back it begins
};

class Sequences {
 public:
  // Reads the section that is all of `section`, and gives `apply` one after the other. False: it
  // lies, or `apply` was false. Tables and distances are kept for the next block.
  bool read(std::span<const std::byte> section,
            const std::function<bool(const Sequence& sequence)>& apply);

 private:
  // What codes are of: their order in the section's head.
  enum Part : std::uint8_t { kLiterals, kDistances, kLengths, kParts };

  bool read_tables(std::span<const std::byte>& section);
  bool read_table(Part part, unsigned mode, std::span<const std::byte>& section);
  bool decode(std::span<const std::byte> codes, std::size_t count,
              const std::function<bool(const Sequence& sequence)>& apply);
  std::size_t distance_of(std::size_t value, bool no_literals);

  std::array<std::optional<FseTable>, kParts> tables_;
  std::array<std::size_t, 3> recent_{1, 4, 8};  // distances, the newest first
};

}  // namespace mote::storage::zstd
