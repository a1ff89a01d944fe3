// A custom CPU template, as Firecracker's PUT /cpu-config and `cpu-config` describe it: bits in
// text, a letter a bit. docs/cpu-templates.md has the form.
#pragma once

#include <array>
#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "arch/x86_64/cpu_modifiers.h"
#include "base/json_rules.h"
#include "base/result.h"

namespace mote::machine {

enum class CpuidRegister { Eax, Ebx, Ecx, Edx };
BOOST_DESCRIBE_ENUM(CpuidRegister, Eax, Ebx, Ecx, Edx)
constexpr auto json_names(CpuidRegister) {
  return std::array{json::name(CpuidRegister::Eax, "eax"), json::name(CpuidRegister::Ebx, "ebx"),
                    json::name(CpuidRegister::Ecx, "ecx"), json::name(CpuidRegister::Edx, "edx")};
}

struct CpuidRegisterConfig {
  CpuidRegister reg = CpuidRegister::Eax;
  std::string bitmap;  // at most 32 bits
};
BOOST_DESCRIBE_STRUCT(CpuidRegisterConfig, (), (reg, bitmap))
constexpr auto json_rules(const CpuidRegisterConfig*) {
  return std::array{json::named("reg", "register")};
}

// Numbers in text begin with 0x or 0b and have 32 bits.
struct CpuidLeafConfig {
  std::string leaf;
  std::string subleaf;
  std::uint32_t flags = 0;  // KVM_CPUID_FLAG_*: 0 to 7
  std::vector<CpuidRegisterConfig> modifiers;
};
BOOST_DESCRIBE_STRUCT(CpuidLeafConfig, (), (leaf, subleaf, flags, modifiers))

struct MsrConfig {
  std::string addr;
  std::string bitmap;  // at most 64 bits
};
BOOST_DESCRIBE_STRUCT(MsrConfig, (), (addr, bitmap))

struct CpuConfig {
  // "N": KVM must have capability N; "!N": the machine does without it. N is decimal, of 32 bits.
  std::vector<std::string> kvm_capabilities = {};
  std::vector<CpuidLeafConfig> cpuid_modifiers = {};
  std::vector<MsrConfig> msr_modifiers = {};
};
BOOST_DESCRIBE_STRUCT(CpuConfig, (), (kvm_capabilities, cpuid_modifiers, msr_modifiers))
constexpr auto json_rules(const CpuConfig*) {
  return std::array{json::defaulted("kvm_capabilities"), json::defaulted("cpuid_modifiers"),
                    json::defaulted("msr_modifiers")};
}

// What `config` asks for. Errors name the place of a text that says nothing.
Result<arch::CpuModifiers> parse(const CpuConfig& config);
// Whether parse() takes it.
Result<void> check(const CpuConfig& config);

}  // namespace mote::machine
