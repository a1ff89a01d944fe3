// BareTest is the fixture of the bare tests: a scratch directory, a configuration file in
// Firecracker's form, a bare guest's path, and mote-vmm started on them. Without a usable /dev/kvm
// its tests are skipped and say so.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm_process.h"

namespace mote::bare {

// One VM to be: what the configuration file says, and flags beside it.
struct Machine {
  std::string guest = {};  // of tests/bare/guests, without suffix
  unsigned vcpus = 1;
  unsigned memory_mib = 128;
  std::string boot_args = {};            // empty: left out
  std::string initrd = {};               // a path; empty: left out
  std::vector<std::string> drives = {};  // JSON objects
  std::string machine_fields = {};       // further ones of machine-config, each after a comma
  std::string sections = {};             // further ones, each after a comma
  std::vector<std::string> flags = {};   // beside --no-api --config-file
  std::string name = "mote-vmm";         // under which the program is started
  bool end_pipe = false;
  int terminal = -1;
};

// What a machine that ended by itself left.
struct Outcome {
  Ending ending;
  std::string output;      // stdout, which is COM1's
  std::string errors;      // stderr
  std::string end_report;  // of --end-fd
};

// A line of `name=value` fields as guests print them; a value without a field's name gets the name
// "".
using Fields = std::map<std::string, std::string>;

class BareTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A file of the scratch directory with this content; its path.
  std::string write_file(const std::string& name, std::string_view content) const;
  std::string path_of(const std::string& name) const { return (scratch_ / name).string(); }
  static std::string guest_path(const std::string& name);

  // Starts the machine; a failure to start is a failure of the test.
  VmmProcess start(const Machine& machine) const;
  // Starts it without input, and waits until it has ended by itself.
  Outcome run(const Machine& machine) const;
  // As run(), and the guest must have ended the machine with status 0.
  std::string output_of(const Machine& machine) const;
  // What the last machine wrote to its log.
  std::string log() const;
  // Names of what lies in the scratch directory.
  std::vector<std::string> scratch_names() const;

 private:
  std::filesystem::path scratch_;
};

// A drive of the configuration file, with further fields as JSON text (", ..." or empty).
std::string drive(std::string_view id, std::string_view path, std::string_view more = "");

std::vector<std::string> lines_of(std::string_view text);
Fields fields_of(std::string_view line);
// The fields of the first line that begins with `start`; empty when there is none.
Fields line_with(std::string_view text, std::string_view start);
// All lines that begin with `start`.
std::vector<Fields> lines_with(std::string_view text, std::string_view start);
// The value of a hexadecimal field; fails the test and is 0 when it is not there.
std::uint64_t number(const Fields& fields, const std::string& name);

}  // namespace mote::bare
