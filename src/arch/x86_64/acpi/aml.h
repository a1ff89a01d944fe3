// A small builder of AML, the byte code of ACPI's DSDT (ACPI 6.5, chapter 20). Each function
// returns the bytes of one term; terms that hold others take them as a list.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include "arch/x86_64/bytes.h"

namespace mote::arch::acpi {

using Terms = std::initializer_list<Bytes>;

// The terms one behind the other.
Bytes join(std::span<const Bytes> terms);

// Data. integer() takes the shortest form; text() is ASCII without NUL.
Bytes integer(std::uint64_t value);
Bytes text(std::string_view value);
// A compressed identifier such as "PNP0501": three capital letters, four hexadecimal digits.
Bytes eisa_id(std::string_view id);
Bytes package(Terms elements);
Bytes buffer(std::span<const std::uint8_t> content);

// Objects. A path is names of up to four characters with dots between, "\" before it for the root.
Bytes name(std::string_view path, const Bytes& value);
Bytes scope(std::string_view path, std::span<const Bytes> terms);
Bytes device(std::string_view path, Terms terms);
Bytes method(std::string_view path, unsigned arguments, bool serialized, Terms terms);
Bytes method(std::string_view path, unsigned arguments, bool serialized,
             std::span<const Bytes> terms);

// Statements and expressions. argument(0) to argument(6).
Bytes argument(unsigned index);
Bytes if_equal(const Bytes& left, const Bytes& right, Terms then);
Bytes notify(std::string_view path, std::uint64_t value);

// Resource descriptors (section 6.4), and the template that holds them.
Bytes memory32(std::uint32_t base, std::uint32_t size);   // read and write
Bytes io_ports(std::uint16_t first, std::uint8_t count);  // 16 address bits decoded
Bytes edge_interrupt(std::uint32_t gsi);                  // active high, exclusive
Bytes resources(Terms descriptors);
Bytes resources(std::span<const Bytes> descriptors);

}  // namespace mote::arch::acpi
