// mote-seccomp-tables OUT ROOT FILE...: makes of the tables in FILE what programs include:
// (named as seen from ROOT) OUT/seccomp_filters.inc, the filters as arrays of instructions, and
// OUT/seccomp_tables.inc, the tables' text. Runs when mote is built.
#include <fcntl.h>

#include <cctype>
#include <cstdio>
#include <span>

#include "base/unique_fd.h"
#include "isolation/seccomp/compile.h"
#include "isolation/seccomp/rules.h"

namespace mote::seccomp {
namespace {

constexpr std::size_t kMaxTable = std::size_t{1} << 20;

struct Table {
  std::string name;
  std::string text;
};

// "vcpu": "kVcpuCode"
std::string array_name(std::string_view thread) {
  std::string name = "k";
  bool first = true;
  for (const char c : thread) {
    if (c == '-' || c == '_') {
      first = true;
    } else {
      name += first ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
      first = false;
    }
  }
  return name + "Code";
}

Result<std::string> filters_of(const std::vector<Table>& tables) {
  Tables all(native_architecture());
  for (const Table& table : tables) MOTE_CHECK(all.add(table.text, table.name));
  MOTE_TRY(const RuleSet rules, all.finish());
  std::string out;
  for (const ThreadRules& thread : rules) {
    MOTE_TRY(const OwnedProgram program, compile(thread, native_architecture()));
    out += fmt::format("constexpr sock_filter {}[]{{", array_name(thread.name));
    for (std::size_t i = 0; i < program.size(); ++i) {
      const sock_filter& it = program[i];
      out += fmt::format("{}{{{:#x}, {}, {}, {:#x}}}, ", i % 4 == 0 ? "\n    " : "", it.code, it.jt,
                         it.jf, it.k);
    }
    out += "};\n";
  }
  out += "constexpr char kCallNames[] =";
  const int highest = highest_call();
  for (int number = 0; number <= highest; ++number) {
    out += fmt::format("\n    \"{}\\0\"", resolve_call(number));
  }
  return out + ";\n";
}

std::string tables_of(const std::vector<Table>& tables) {
  std::string out;
  for (const Table& table : tables) {
    out += fmt::format("BuiltInTable{{\"{}\", R\"~~({})~~\"}},\n", table.name, table.text);
  }
  return out;
}

Result<void> write(const std::string& path, const std::string& text) {
  MOTE_TRY(const UniqueFd file, open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  return write_all(file.get(), std::as_bytes(std::span(text)));
}

Result<void> run(std::span<char* const> words) {
  if (words.size() < 3) {
    return fail(ErrorKind::kInvalid, "use: mote-seccomp-tables OUT ROOT FILE...");
  }
  const std::string out = words[0];
  const std::string root = words[1];
  std::vector<Table> tables;
  for (const char* path : words.subspan(2)) {
    MOTE_TRY(const UniqueFd file, open_file(path, O_RDONLY));
    MOTE_TRY(std::string text, read_all(file.get(), kMaxTable));
    std::string name = path;
    if (name.starts_with(root + "/")) name.erase(0, root.size() + 1);
    tables.push_back({.name = std::move(name), .text = std::move(text)});
  }
  MOTE_TRY(const std::string filters, filters_of(tables));
  MOTE_CHECK(write(out + "/seccomp_filters.inc", filters));
  return write(out + "/seccomp_tables.inc", tables_of(tables));
}

}  // namespace
}  // namespace mote::seccomp

int main(int argc, char** argv) {
  const std::span<char* const> words(argv, static_cast<std::size_t>(argc));
  const auto done = mote::seccomp::run(words.subspan(1));
  if (done) return 0;
  fmt::print(stderr, "mote-seccomp-tables: {}\n", done.error().text());
  return 1;
}
