#include "bare_test.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace mote::bare {
namespace {

// The log goes to a file, so that stdout has the guest's bytes alone.
std::string configuration(const Machine& machine, const std::string& kernel,
                          const std::string& log) {
  std::string boot = fmt::format(R"("kernel_image_path": "{}")", kernel);
  if (!machine.boot_args.empty()) boot += fmt::format(R"(, "boot_args": "{}")", machine.boot_args);
  if (!machine.initrd.empty()) boot += fmt::format(R"(, "initrd_path": "{}")", machine.initrd);
  return fmt::format(
      R"({{"boot-source": {{{}}}, "drives": [{}], "machine-config": {{"vcpu_count": {}, "mem_size_mib": {}{}}}, "logger": {{"log_path": "{}"}}{}}})",
      boot, fmt::join(machine.drives, ", "), machine.vcpus, machine.memory_mib,
      machine.machine_fields, log, machine.sections);
}

}  // namespace

void BareTest::SetUp() {
  const auto kvm = open_file("/dev/kvm", O_RDWR);
  if (!kvm) GTEST_SKIP() << "needs KVM: " << kvm.error().text();
  std::string name = (std::filesystem::temp_directory_path() / "mote-bare-XXXXXX").string();
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  scratch_ = name;
}

void BareTest::TearDown() {
  if (!scratch_.empty()) std::filesystem::remove_all(scratch_);
}

std::string BareTest::write_file(const std::string& name, std::string_view content) const {
  std::ofstream(scratch_ / name, std::ios::binary) << content;
  return path_of(name);
}

std::string BareTest::guest_path(const std::string& name) {
  return fmt::format("{}/{}.elf", MOTE_BARE_GUESTS, name);
}

VmmProcess BareTest::start(const Machine& machine) const {
  const std::string file = write_file(
      "config.json", configuration(machine, guest_path(machine.guest), write_file("log", "")));
  VmmOptions options{.name = machine.name,
                     .arguments = {"--no-api", "--config-file", file},
                     .end_pipe = machine.end_pipe,
                     .terminal = machine.terminal};
  options.arguments.insert(options.arguments.end(), machine.flags.begin(), machine.flags.end());
  auto process = VmmProcess::start(options);
  if (!process) {
    ADD_FAILURE() << process.error().text();
    std::abort();  // nothing after it would mean anything
  }
  return std::move(*process);
}

std::string BareTest::log() const {
  std::ifstream file(scratch_ / "log");
  return {std::istreambuf_iterator<char>(file), {}};
}

Outcome BareTest::run(const Machine& machine) const {
  VmmProcess process = start(machine);
  const auto ending = process.finish();
  EXPECT_TRUE(ending) << machine.guest << " did not end; so far: " << process.output()
                      << process.errors();
  return {.ending = ending.value_or(Ending{}),
          .output = process.output(),
          .errors = process.errors(),
          .end_report = process.end_report()};
}

std::string BareTest::output_of(const Machine& machine) const {
  Outcome outcome = run(machine);
  EXPECT_EQ(outcome.ending.text(), "exit 0") << outcome.output << outcome.errors;
  return outcome.output;
}

std::vector<std::string> BareTest::scratch_names() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(scratch_)) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

std::string drive(std::string_view id, std::string_view path, std::string_view more) {
  return fmt::format(R"({{"drive_id": "{}", "path_on_host": "{}", "is_root_device": false{}}})", id,
                     path, more);
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

Fields fields_of(std::string_view line) {
  Fields fields;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) {
      fields.emplace("", word);
    } else {
      fields.emplace(word.substr(0, equals), word.substr(equals + 1));
    }
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return fields;
}

std::vector<Fields> lines_with(std::string_view text, std::string_view start) {
  std::vector<Fields> found;
  for (const std::string& line : lines_of(text)) {
    if (line.starts_with(start)) found.push_back(fields_of(line));
  }
  return found;
}

Fields line_with(std::string_view text, std::string_view start) {
  const auto found = lines_with(text, start);
  return found.empty() ? Fields{} : found.front();
}

std::uint64_t number(const Fields& fields, const std::string& name) {
  const auto field = fields.find(name);
  std::uint64_t value = 0;
  if (field == fields.end()) {
    ADD_FAILURE() << "no field '" << name << "'";
    return 0;
  }
  const std::string& digits = field->second;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  EXPECT_TRUE(error == std::errc{} && end == digits.data() + digits.size())
      << name << " is not hexadecimal: " << digits;
  return value;
}

}  // namespace mote::bare
