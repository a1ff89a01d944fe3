// What the kernel tells of this process's memory.
#pragma once

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

namespace mote::test {

// The flags of the mapping that `address` lies in, each between blanks (VmFlags in smaps, see
// proc(5)); empty: there is none.
inline std::string vm_flags(std::uintptr_t address) {
  std::ifstream smaps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    unsigned long first = 0;
    unsigned long last = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &last) == 2) {
      inside = first <= address && address < last;
    }
    if (inside && line.starts_with("VmFlags:")) return line + " ";
  }
  return "";
}

}  // namespace mote::test
