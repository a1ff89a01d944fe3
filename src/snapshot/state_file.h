// The file of a state: a header that says what it is, readable without the rest, and the nodes of
// the state (node.h) behind it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mote::snapshot {

// The form of header and nodes. The first number counts changes that an older mote cannot read, the
// second those that it can, the third is 0: so --snapshot-version tells it.
inline constexpr std::uint32_t kFormatMajor = 1;
inline constexpr std::uint32_t kFormatMinor = 0;

// As ELF numbers machines (e_machine).
inline constexpr std::uint32_t kArchitectureX86_64 = 62;
inline constexpr std::uint32_t kArchitectureAarch64 = 183;
std::string architecture_name(std::uint32_t architecture);

// More than the state of the largest machine has.
inline constexpr std::size_t kMaxStateFile = std::size_t{16} << 20;

struct Header {
  std::uint32_t major = kFormatMajor;
  std::uint32_t minor = kFormatMinor;
  std::uint32_t architecture = kArchitectureX86_64;
  std::string maker;               // "mote-vmm 0.1.0", at most kMaxMaker bytes
  std::uint64_t created = 0;       // seconds since 1970
  std::array<std::byte, 16> id{};  // of the moment, as the memory file's stamp has it (stamp.h)
  std::uint64_t body_size = 0;
  std::uint64_t body_checksum = 0;  // base/checksum.h
};
inline constexpr std::size_t kMaxMaker = 48;
inline constexpr std::size_t kHeaderSize = 128;

// "1.0.0"
std::string version_text(std::uint32_t major, std::uint32_t minor);

// The whole file: `header`, whose last two members are filled in here, and `body`.
std::vector<std::byte> make_state_file(Header header, std::span<const std::byte> body);

// The header of a file that begins with `bytes`, of any format and architecture. Errors (kInvalid):
// too short, no state file, a header that is damaged; a state file of Firecracker's (kUnsupported),
// by name.
Result<Header> read_header(std::span<const std::byte> bytes);

// The body of a whole state file. Errors as above; also another format or architecture than this
// mote's (kUnsupported), a body that is not whole or damaged.
struct StateFile {
  Header header;
  std::span<const std::byte> body;  // inside what was read
};
Result<StateFile> read_state_file(std::span<const std::byte> bytes);

// The bytes of the file at `path`, of at most kMaxStateFile. Errors name it.
Result<std::string> read_bytes_of(const std::string& path);
// The same of an open file, which errors call `name`.
Result<std::string> read_bytes_of(int fd, const std::string& name);

}  // namespace mote::snapshot
