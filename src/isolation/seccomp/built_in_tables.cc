#include "isolation/seccomp/built_in_tables.h"

namespace mote::seccomp {
namespace {

struct BuiltInTable {
  const char* name;
  const char* text;
};
constexpr BuiltInTable kTables[]{
#include "seccomp_tables.inc"
};

}  // namespace

Result<RuleSet> built_in_rules() {
  Tables tables(native_architecture());
  for (const BuiltInTable& table : kTables) MOTE_CHECK(tables.add(table.text, table.name));
  return tables.finish();
}

}  // namespace mote::seccomp
