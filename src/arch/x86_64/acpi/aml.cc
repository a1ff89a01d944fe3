#include "arch/x86_64/acpi/aml.h"

#include <array>

namespace mote::arch::acpi {
namespace {

// Opcodes: section 20.2, "AML Grammar Definition", and 20.3.
constexpr std::uint8_t kZero = 0x00;
constexpr std::uint8_t kOne = 0x01;
constexpr std::uint8_t kName = 0x08;
constexpr std::uint8_t kByte = 0x0a;
constexpr std::uint8_t kWord = 0x0b;
constexpr std::uint8_t kDWord = 0x0c;
constexpr std::uint8_t kString = 0x0d;
constexpr std::uint8_t kQWord = 0x0e;
constexpr std::uint8_t kScope = 0x10;
constexpr std::uint8_t kBuffer = 0x11;
constexpr std::uint8_t kPackage = 0x12;
constexpr std::uint8_t kMethod = 0x14;
constexpr std::uint8_t kDualName = 0x2e;
constexpr std::uint8_t kMultiName = 0x2f;
constexpr std::uint8_t kExtended = 0x5b;
constexpr std::uint8_t kDevice = 0x82;  // after kExtended
constexpr std::uint8_t kArg0 = 0x68;
constexpr std::uint8_t kNotify = 0x86;
constexpr std::uint8_t kEqual = 0x93;
constexpr std::uint8_t kIf = 0xa0;

constexpr std::size_t kSegment = 4;

// A length counts its own bytes: one where the whole fits into 6 bits, else 4 bits and up to three
// bytes.
Bytes package_length(std::size_t content) {
  if (content + 1 < 64) return {static_cast<std::uint8_t>(content + 1)};
  unsigned more = 1;
  while (content + 1 + more >= std::size_t{1} << (4 + 8 * more)) ++more;
  const std::size_t length = content + 1 + more;
  Bytes bytes = {static_cast<std::uint8_t>(more << 6 | (length & 0xf))};
  for (unsigned index = 0; index < more; ++index) {
    bytes.push_back(static_cast<std::uint8_t>(length >> (4 + 8 * index)));
  }
  return bytes;
}

// An opcode, the length of what follows, and that.
Bytes block(std::initializer_list<std::uint8_t> opcode, const Bytes& content) {
  Bytes bytes = opcode;
  append(bytes, package_length(content.size()));
  append(bytes, content);
  return bytes;
}

Bytes name_string(std::string_view path) {
  Bytes bytes;
  if (path.starts_with('\\')) {
    bytes.push_back('\\');
    path.remove_prefix(1);
  }
  Bytes segments;
  while (!path.empty()) {
    const std::string_view segment = path.substr(0, path.find('.'));
    append_text(segments, segment, kSegment);
    path.remove_prefix(std::min(path.size(), segment.size() + 1));
  }
  std::ranges::replace(segments, ' ', '_');
  const std::size_t count = segments.size() / kSegment;
  if (count == 0) bytes.push_back(kZero);
  if (count == 2) bytes.push_back(kDualName);
  if (count > 2) {
    bytes.push_back(kMultiName);
    bytes.push_back(static_cast<std::uint8_t>(count));
  }
  append(bytes, segments);
  return bytes;
}

std::uint8_t hex_value(char digit) {
  return static_cast<std::uint8_t>(digit <= '9' ? digit - '0' : digit - 'A' + 10);
}

}  // namespace

Bytes join(std::span<const Bytes> terms) {
  Bytes bytes;
  for (const Bytes& term : terms) append(bytes, term);
  return bytes;
}

Bytes integer(std::uint64_t value) {
  if (value == 0) return {kZero};
  if (value == 1) return {kOne};
  Bytes bytes;
  if (value <= UINT8_MAX) {
    bytes = {kByte, static_cast<std::uint8_t>(value)};
  } else if (value <= UINT16_MAX) {
    bytes = {kWord};
    append(bytes, static_cast<std::uint16_t>(value));
  } else if (value <= UINT32_MAX) {
    bytes = {kDWord};
    append(bytes, static_cast<std::uint32_t>(value));
  } else {
    bytes = {kQWord};
    append(bytes, value);
  }
  return bytes;
}

Bytes text(std::string_view value) {
  Bytes bytes = {kString};
  append_text(bytes, value, value.size());
  bytes.push_back(0);
  return bytes;
}

Bytes eisa_id(std::string_view id) {
  // Five bits a letter, four a digit, the most significant first.
  std::uint32_t value = 0;
  for (const char letter : id.substr(0, 3)) {
    value = value << 5 | (static_cast<std::uint32_t>(letter - '@') & 0x1f);
  }
  for (const char digit : id.substr(3, 4)) value = value << 4 | hex_value(digit);
  Bytes bytes = {kDWord};
  append(bytes, __builtin_bswap32(value));
  return bytes;
}

Bytes package(Terms elements) {
  Bytes content = {static_cast<std::uint8_t>(elements.size())};
  append(content, join(elements));
  return block({kPackage}, content);
}

Bytes buffer(std::span<const std::uint8_t> content) {
  Bytes sized = integer(content.size());
  append(sized, content);
  return block({kBuffer}, sized);
}

Bytes name(std::string_view path, const Bytes& value) {
  Bytes bytes = {kName};
  append(bytes, name_string(path));
  append(bytes, value);
  return bytes;
}

Bytes scope(std::string_view path, std::span<const Bytes> terms) {
  Bytes content = name_string(path);
  append(content, join(terms));
  return block({kScope}, content);
}

Bytes device(std::string_view path, Terms terms) {
  Bytes content = name_string(path);
  append(content, join(terms));
  return block({kExtended, kDevice}, content);
}

Bytes method(std::string_view path, unsigned arguments, bool serialized, Terms terms) {
  return method(path, arguments, serialized, std::span(terms));
}

Bytes method(std::string_view path, unsigned arguments, bool serialized,
             std::span<const Bytes> terms) {
  Bytes content = name_string(path);
  content.push_back(static_cast<std::uint8_t>(arguments | (serialized ? 1U << 3 : 0)));
  append(content, join(terms));
  return block({kMethod}, content);
}

Bytes argument(unsigned index) { return {static_cast<std::uint8_t>(kArg0 + index)}; }

Bytes if_equal(const Bytes& left, const Bytes& right, Terms then) {
  Bytes content = {kEqual};
  append(content, left);
  append(content, right);
  append(content, join(then));
  return block({kIf}, content);
}

Bytes notify(std::string_view path, std::uint64_t value) {
  Bytes bytes = {kNotify};
  append(bytes, name_string(path));
  append(bytes, integer(value));
  return bytes;
}

Bytes memory32(std::uint32_t base, std::uint32_t size) {
  Bytes bytes = {0x86, 9, 0, 1};  // Memory32Fixed of 9 bytes, writable
  append(bytes, base);
  append(bytes, size);
  return bytes;
}

Bytes io_ports(std::uint16_t first, std::uint8_t count) {
  Bytes bytes = {0x47, 1};  // IO of 7 bytes, 16 bits decoded
  append(bytes, first);     // no lower
  append(bytes, first);     // and no higher
  bytes.push_back(1);
  bytes.push_back(count);
  return bytes;
}

Bytes edge_interrupt(std::uint32_t gsi) {
  constexpr std::uint8_t kConsumerEdge = 1 << 0 | 1 << 1;
  Bytes bytes = {0x89, 6, 0, kConsumerEdge, 1};  // Extended Interrupt of 6 bytes, one line
  append(bytes, gsi);
  return bytes;
}

Bytes resources(Terms descriptors) { return resources(std::span(descriptors)); }

Bytes resources(std::span<const Bytes> descriptors) {
  Bytes content = join(descriptors);
  append(content, Bytes{0x79, 0});  // end tag, with no checksum
  return buffer(content);
}

}  // namespace mote::arch::acpi
