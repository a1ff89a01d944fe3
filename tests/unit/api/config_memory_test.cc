// The sections of the configuration file that are about a guest's memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/firecracker/config_file.h"
#include "base/json_describe.h"

namespace mote::api::firecracker {
namespace {

using testing::HasSubstr;

// A file that is right, of a machine with 128 MiB, with `more` after it.
std::string file_with(std::string_view more) {
  return fmt::format(R"({{"boot-source":{{"kernel_image_path":"/k"}},"drives":[],)"
                     R"("machine-config":{{"vcpu_count":1,"mem_size_mib":128}},{}}})",
                     more);
}

std::string error_of(std::string_view text) {
  const Result<ConfigFile> file = parse_config(text);
  return file ? "no error" : file.error().text();
}

TEST(ConfigFile, ReadsTheBalloon) {
  const auto file = parse_config(file_with(R"("balloon":{"amount_mib":8,"deflate_on_oom":true})"));
  ASSERT_TRUE(file) << file.error().text();
  ASSERT_TRUE(file->vm.balloon);
  EXPECT_EQ(json::write(*file->vm.balloon),
            R"({"amount_mib":8,"deflate_on_oom":true,"stats_polling_interval_s":0,)"
            R"("free_page_hinting":false,"free_page_reporting":false})");
  const auto with = [](std::string_view fields) {
    return error_of(file_with(fmt::format(R"("balloon":{{{}}})", fields)));
  };
  EXPECT_EQ(with(R"("amount_mib":8,"deflate_on_oom":false,"stats_polling_interval_s":65535,
                    "free_page_hinting":true,"free_page_reporting":true)"),
            "no error");
  EXPECT_EQ(with(R"("amount_mib":1)"),
            "balloon.deflate_on_oom is missing; it must be true or false");
  EXPECT_THAT(with(R"("deflate_on_oom":true)"), HasSubstr("balloon.amount_mib is missing"));
  EXPECT_THAT(with(R"("amount_mib":4096,"deflate_on_oom":false)"),
              HasSubstr("balloon: amount_mib is 4096; it must be at most 128"));
  for (const char* field :
       {R"("stats_polling_interval_s":65536)", R"("stats_polling_interval_s":-1)",
        R"("stats_polling_interval_s":null)", R"("free_page_hinting":1)",
        R"("free_page_reporting":null)", R"("zzz":1)"}) {
    EXPECT_THAT(with(fmt::format(R"("amount_mib":8,"deflate_on_oom":true,{})", field)),
                testing::StartsWith("balloon."))
        << field;
  }
}

TEST(ConfigFile, ReadsPersistentMemories) {
  const auto file = parse_config(file_with(
      R"("pmem":[{"id":"p","path_on_host":"/p"},
                 {"id":"q","path_on_host":"/q","root_device":true,"read_only":true,
                  "rate_limiter":{"ops":{"size":10,"refill_time":100}}}])"));
  ASSERT_TRUE(file) << file.error().text();
  ASSERT_EQ(file->vm.pmem.size(), 2U);
  EXPECT_EQ(json::write(file->vm.pmem[0]),
            R"({"id":"p","path_on_host":"/p","root_device":false,"read_only":false,)"
            R"("rate_limiter":null})");
  EXPECT_TRUE(file->vm.pmem[1].read_only);
  const auto with = [](std::string_view fields) {
    return error_of(file_with(fmt::format(R"("pmem":[{{{}}}])", fields)));
  };
  EXPECT_EQ(with(R"("id":"p")"), "pmem[0].path_on_host is missing; it must be a string");
  EXPECT_EQ(with(R"("path_on_host":"/p")"), "pmem[0].id is missing; it must be a string");
  for (const char* field : {R"("root_device":null)", R"("root_device":1)", R"("read_only":"true")",
                            R"("rate_limiter":1)", R"("zzz":1)"}) {
    EXPECT_THAT(with(fmt::format(R"("id":"p","path_on_host":"/p",{})", field)),
                testing::StartsWith("pmem[0]."))
        << field;
  }
  EXPECT_THAT(with(R"("id":"","path_on_host":"/p")"), HasSubstr("a pmem has the id \"\""));
  EXPECT_THAT(with(R"("id":"p","path_on_host":"")"), HasSubstr("path_on_host is \"\""));
  EXPECT_THAT(with(R"("id":"p","path_on_host":"a\u0000b")"), HasSubstr("without NUL"));
  EXPECT_THAT(error_of(file_with(R"("pmem":[{"id":"p","path_on_host":"/p"},
                                            {"id":"p","path_on_host":"/q"}])")),
              HasSubstr("pmem: two have the id"));
}

TEST(ConfigFile, ReadsMemoryHotplug) {
  const auto file = parse_config(file_with(R"("memory-hotplug":{"total_size_mib":256})"));
  ASSERT_TRUE(file) << file.error().text();
  ASSERT_TRUE(file->vm.memory_hotplug);
  EXPECT_EQ(json::write(*file->vm.memory_hotplug),
            R"({"total_size_mib":256,"block_size_mib":2,"slot_size_mib":128})");
  const auto with = [](std::string_view fields) {
    return error_of(file_with(fmt::format(R"("memory-hotplug":{{{}}})", fields)));
  };
  EXPECT_EQ(with(R"("total_size_mib":1024,"slot_size_mib":256,"block_size_mib":4,
                    "requested_size_mib":12)"),
            "no error");
  EXPECT_THAT(with(""), HasSubstr("memory-hotplug.total_size_mib is missing"));
  EXPECT_THAT(with(R"("total_size_mib":100)"), HasSubstr("total_size_mib is 100"));
  EXPECT_THAT(with(R"("total_size_mib":0)"), HasSubstr("total_size_mib is 0"));
  EXPECT_THAT(with(R"("total_size_mib":4294967296)"), HasSubstr("total_size_mib is"));
  for (const char* field :
       {R"("block_size_mib":null)", R"("block_size_mib":1)", R"("block_size_mib":3)",
        R"("block_size_mib":0)", R"("block_size_mib":256)", R"("slot_size_mib":64)",
        R"("slot_size_mib":129)", R"("slot_size_mib":192)", R"("slot_size_mib":2048)",
        R"("requested_size_mib":1)", R"("requested_size_mib":1026)", R"("zzz":1)"}) {
    EXPECT_NE(with(fmt::format(R"("total_size_mib":1024,{})", field)), "no error") << field;
  }
}

}  // namespace
}  // namespace mote::api::firecracker
