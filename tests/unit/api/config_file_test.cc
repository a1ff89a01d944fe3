#include "api/firecracker/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "temp_dir.h"

namespace mote::api::firecracker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::string_view kBoot = R"("boot-source":{"kernel_image_path":"/k"})";
constexpr std::string_view kDrives = R"("drives":[])";
constexpr std::string_view kMachine = R"("machine-config":{"vcpu_count":1,"mem_size_mib":128})";

// A file that is right, with `more` after it.
std::string file_with(std::string_view more) {
  return fmt::format("{{{},{},{}{}{}}}", kBoot, kDrives, kMachine, more.empty() ? "" : ",", more);
}

std::string error_of(std::string_view text) {
  const Result<ConfigFile> file = parse_config(text);
  return file ? "no error" : file.error().text();
}

std::string error_of_machine(std::string_view machine) {
  return error_of(fmt::format(R"({{{},{},"machine-config":{}}})", kBoot, kDrives, machine));
}

std::string error_of_drives(std::string_view drives) {
  return error_of(fmt::format(R"({{{},"drives":{},{}}})", kBoot, drives, kMachine));
}

std::string error_of_boot(std::string_view boot) {
  return error_of(fmt::format(R"({{"boot-source":{},{},{}}})", boot, kDrives, kMachine));
}

TEST(ConfigFile, ReadsEveryFieldThatIsBuilt) {
  const Result<ConfigFile> file = parse_config(R"({
    "boot-source": {"kernel_image_path": "/k", "initrd_path": "/i", "boot_args": "a -- b",
                    "boot_protocol": "linux64"},
    "drives": [
      {"drive_id": "root", "path_on_host": "/r", "is_root_device": true, "partuuid": "0eaa91a0-01",
       "is_read_only": true, "cache_type": "Writeback", "io_engine": "Sync",
       "rate_limiter": {"bandwidth": null, "ops": null}, "socket": null},
      {"drive_id": "data-1", "path_on_host": "/d", "is_root_device": false}],
    "machine-config": {"vcpu_count": 32, "mem_size_mib": 2048, "smt": true,
                       "track_dirty_pages": true, "huge_pages": "2M", "cpu_template": "None"},
    "logger": {"log_path": "/l", "level": "warn", "show_level": true, "show_log_origin": false}})");
  ASSERT_TRUE(file) << file.error().text();
  const machine::VmConfig& vm = file->vm;
  EXPECT_EQ(vm.boot_source.kernel_image_path, "/k");
  EXPECT_EQ(vm.boot_source.initrd_path, "/i");
  EXPECT_EQ(vm.boot_source.boot_args, "a -- b");
  EXPECT_EQ(vm.boot_source.boot_protocol, machine::BootProtocol::Linux64);
  ASSERT_EQ(vm.drives.size(), 2U);
  EXPECT_TRUE(vm.drives[0].is_root_device);
  EXPECT_EQ(vm.drives[0].partuuid, "0eaa91a0-01");
  EXPECT_EQ(vm.drives[0].is_read_only, true);
  EXPECT_EQ(vm.drives[0].cache_type, virtio::CacheType::Writeback);
  EXPECT_EQ(vm.drives[1].drive_id, "data-1");
  EXPECT_FALSE(vm.drives[1].is_read_only);
  EXPECT_EQ(vm.machine.vcpu_count, 32U);
  EXPECT_EQ(vm.machine.mem_size_mib, 2048U);
  EXPECT_TRUE(vm.machine.smt);
  EXPECT_TRUE(vm.machine.track_dirty_pages);
  EXPECT_EQ(vm.machine.huge_pages, machine::HugePages::TwoMib);
  ASSERT_TRUE(file->logger);
  EXPECT_EQ(file->logger->level, "warn");
  EXPECT_EQ(file->logger->show_log_origin, false);
}

// As Firecracker answers.
TEST(ConfigFile, HasADefaultMachine) {
  for (const char* rest : {"", R"(,"machine-config":null)"}) {
    const Result<ConfigFile> file = parse_config(fmt::format("{{{},{}{}}}", kBoot, kDrives, rest));
    ASSERT_TRUE(file) << file.error().text();
    EXPECT_EQ(file->vm.machine.vcpu_count, 1U);
    EXPECT_EQ(file->vm.machine.mem_size_mib, 128U);
    EXPECT_FALSE(file->logger);
  }
}

TEST(ConfigFile, WantsBootSourceAndDrives) {
  EXPECT_EQ(error_of("{}"), "boot-source is missing; it must be an object");
  EXPECT_EQ(error_of(fmt::format("{{{}}}", kBoot)), "drives is missing; it must be a list");
  EXPECT_EQ(error_of(fmt::format("{{{},{}}}", kDrives, kMachine)),
            "boot-source is missing; it must be an object");
  EXPECT_EQ(error_of_boot("null"), "boot-source is null; it must be an object");
  EXPECT_EQ(error_of_drives("null"), "drives is null; it must be a list");
  EXPECT_EQ(error_of_drives("{}"), "drives is an object; it must be a list");
}

TEST(ConfigFile, RefusesWhatIsNoObject) {
  EXPECT_EQ(error_of(""), "the file is empty; it must be JSON");
  EXPECT_EQ(error_of("[]"), "the file is a list; it must be an object");
  EXPECT_EQ(error_of("null"), "the file is null; it must be an object");
  EXPECT_THAT(error_of("hello"), HasSubstr("the file, line 1, column 1: \"h\" is not valid JSON"));
  for (const std::string& text :
       {file_with("").substr(1), file_with("") + "x", file_with("") + "{}",
        "// x\n" + file_with(""), "\xef\xbb\xbf" + file_with(""), std::string("\0", 1),
        std::string("{\"x\":\"\xff\"}"),
        "{" + file_with("").substr(1, file_with("").size() - 2) + ",}"}) {
    EXPECT_THAT(error_of(text), testing::StartsWith("the file")) << text;
  }
}

TEST(ConfigFile, RefusesUnknownFieldsEverywhere) {
  EXPECT_THAT(error_of(file_with(R"("zzz":1)")),
              testing::StartsWith("zzz is not a known field; known here are boot-source, drives"));
  EXPECT_THAT(error_of(file_with(R"("serial":{"serial_out_path":"/s"})")),
              HasSubstr("serial is not a known field"));
  EXPECT_THAT(error_of_boot(R"({"kernel_image_path":"/k","z":1})"),
              HasSubstr("boot-source.z is not a known field"));
  EXPECT_THAT(error_of_machine(R"({"vcpu_count":1,"mem_size_mib":128,"z":1})"),
              HasSubstr("machine-config.z is not"));
  EXPECT_THAT(
      error_of_drives(R"([{"drive_id":"d","path_on_host":"/d","is_root_device":true,"z":1}])"),
      HasSubstr("drives[0].z is not"));
  EXPECT_THAT(error_of(file_with(R"("logger":{"z":1})")), HasSubstr("logger.z is not"));
}

TEST(ConfigFile, RefusesKeysGivenTwice) {
  EXPECT_EQ(error_of(file_with(R"("drives":[])")), "drives is given twice; give it once");
  EXPECT_EQ(error_of_machine(R"({"vcpu_count":1,"vcpu_count":1,"mem_size_mib":128})"),
            "machine-config.vcpu_count is given twice; give it once");
}

TEST(ConfigFile, RefusesAWrongMachine) {
  EXPECT_EQ(error_of_machine("{}"),
            "machine-config.vcpu_count is missing; it must be a whole number from 0 to 4294967295");
  EXPECT_THAT(error_of_machine(R"({"vcpu_count":1})"),
              HasSubstr("machine-config.mem_size_mib is missing"));
  for (const char* count :
       {"0", "33", "255", "256", "65536", "4294967296", "-1", "1.0", "1.5", "1e2", "-0", "01",
        "\"1\"", "true", "null", "[]", "{}", "18446744073709551616"}) {
    EXPECT_THAT(error_of_machine(fmt::format(R"({{"vcpu_count":{},"mem_size_mib":128}})", count)),
                testing::AnyOf(HasSubstr("vcpu_count is"), HasSubstr("not valid JSON")))
        << count;
  }
  for (const char* size : {"0", "17592186044416", "9223372036854775808", "18446744073709551615",
                           "18446744073709551616", "-1", "1.0", "\"1\"", "null"}) {
    EXPECT_THAT(error_of_machine(fmt::format(R"({{"vcpu_count":1,"mem_size_mib":{}}})", size)),
                HasSubstr("mem_size_mib is"))
        << size;
  }
  const auto with = [](std::string_view more) {
    return error_of_machine(fmt::format(R"({{"vcpu_count":3,"mem_size_mib":127,{}}})", more));
  };
  EXPECT_THAT(with(R"("smt":null)"), HasSubstr("smt is null; it must be true or false"));
  EXPECT_THAT(with(R"("smt":true)"), HasSubstr("1 or even"));
  EXPECT_THAT(with(R"("huge_pages":"2M")"), HasSubstr("it must be even"));
  EXPECT_THAT(with(R"("huge_pages":"1G")"), HasSubstr(R"(one of "None", "2M", "Transparent")"));
  EXPECT_THAT(with(R"("huge_pages":"TwoMib")"), HasSubstr("huge_pages is the string"));
  EXPECT_EQ(with(R"("cpu_template":"T2")"), "no error");
  EXPECT_THAT(with(R"("cpu_template":"V1N1")"), HasSubstr("cpu_template is V1N1"));
  EXPECT_THAT(with(R"("cpu_template":"zzz")"), HasSubstr("cpu_template is the string \"zzz\""));
  EXPECT_EQ(with(R"("cpu_template":null)"), "no error");
}

TEST(ConfigFile, RefusesWrongDrives) {
  EXPECT_EQ(error_of_drives(R"([{"path_on_host":"/d","is_root_device":true}])"),
            "drives[0].drive_id is missing; it must be a string");
  EXPECT_EQ(error_of_drives(R"([{"drive_id":"d","path_on_host":"/d"}])"),
            "drives[0].is_root_device is missing; it must be true or false");
  EXPECT_THAT(error_of_drives(R"([{"drive_id":"d","is_root_device":true}])"),
              HasSubstr("path_on_host is missing"));
  EXPECT_THAT(error_of_drives(R"([{"drive_id":"","path_on_host":"/d","is_root_device":true}])"),
              HasSubstr("drive_id"));
  EXPECT_THAT(error_of_drives(R"([{"drive_id":"d","path_on_host":"/d","is_root_device":true},
                                  {"drive_id":"d","path_on_host":"/e","is_root_device":false}])"),
              HasSubstr("drives: two have the id \"d\""));
  EXPECT_THAT(error_of_drives(R"([{"drive_id":"d","path_on_host":"/d","is_root_device":true},
                                  {"drive_id":"e","path_on_host":"/e","is_root_device":true}])"),
              HasSubstr("both to be the root device"));
}

TEST(ConfigFile, ReadsWhoReachesTheMetadata) {
  const std::string interface =
      R"("network-interfaces":[{"iface_id":"a","host_dev_name":"t"}],"mmds-config":)";
  const auto file =
      parse_config(file_with(interface + R"({"version":"V2","network_interfaces":["a"]})"));
  ASSERT_TRUE(file) << file.error().text();
  EXPECT_EQ(file->vm.mmds_config,
            (metadata::MmdsConfig{.version = metadata::Version::V2, .network_interfaces = {"a"}}));
  EXPECT_THAT(error_of(file_with(interface + R"({"network_interfaces":["b"]})")),
              HasSubstr("mmds-config: network_interfaces[0] is \"b\""));
  EXPECT_THAT(error_of(file_with(interface + R"({"network_interfaces":[]})")),
              HasSubstr("mmds-config: network_interfaces is empty"));
  EXPECT_THAT(error_of(file_with(interface + R"({"network_interfaces":["a"],"z":1})")),
              HasSubstr("mmds-config.z is not a known field"));
}

TEST(ConfigFile, ReadsACpuTemplateInPlace) {
  const auto file = parse_config(fmt::format(
      R"({{{},{},"machine-config":{{"vcpu_count":1,"mem_size_mib":128,"cpu_template":"T2"}},
          "cpu-config":{{"kvm_capabilities":["!56"],
                         "msr_modifiers":[{{"addr":"0x10a","bitmap":"0b1"}}]}}}})",
      kBoot, kDrives));
  ASSERT_TRUE(file) << file.error().text();
  ASSERT_TRUE(file->vm.cpu_config);
  EXPECT_EQ(file->vm.cpu_config->kvm_capabilities, std::vector<std::string>{"!56"});
  EXPECT_EQ(file->vm.cpu_config->msr_modifiers.at(0).addr, "0x10a");
  EXPECT_FALSE(file->vm.machine.cpu_template) << "the custom one counts";
}

TEST(ConfigFile, ReadsACpuTemplateOfAnotherFile) {
  const test::TempDir dir;
  const std::string path = dir / "cpu.json";
  const auto error_with = [&](std::string_view text) {
    std::ofstream(path) << text;
    return error_of(file_with(fmt::format(R"("cpu-config":"{}")", path)));
  };
  EXPECT_EQ(error_with(R"({"kvm_capabilities":["56"]})"), "no error");
  EXPECT_EQ(error_with("{}"), "no error");
  EXPECT_THAT(error_with(R"({"z":1})"),
              testing::StartsWith(fmt::format("cpu-config \"{}\": z is", path)));
  EXPECT_THAT(error_with("{"), HasSubstr(path));
  EXPECT_THAT(error_with("\"/cpu.json\""), HasSubstr("must be an object"));
  EXPECT_THAT(error_with(R"({"kvm_capabilities":["x"]})"), HasSubstr("kvm_capabilities[0] is"));
  for (const char* absent : {"/nowhere/cpu.json", "", "/", "a\\u0000b"}) {
    EXPECT_THAT(error_of(file_with(fmt::format(R"("cpu-config":"{}")", absent))),
                HasSubstr("cpu-config"))
        << absent;
  }
}

TEST(ConfigFile, RefusesWrongCpuTemplates) {
  EXPECT_EQ(error_of(file_with(R"("cpu-config":{"z":1})")),
            "cpu-config.z is not a known field; known here are kvm_capabilities, cpuid_modifiers, "
            "msr_modifiers");
  EXPECT_EQ(error_of(file_with(R"("cpu-config":[])")),
            "cpu-config is a list; it must be an object or the path of a file");
  EXPECT_THAT(error_of(file_with(R"("cpu-config":7)")), HasSubstr("cpu-config is the number 7"));
  EXPECT_THAT(error_of(file_with(R"("cpu-config":{"kvm_capabilities":["x"]})")),
              testing::StartsWith("cpu-config: kvm_capabilities[0] is \"x\""));
}

TEST(ConfigFile, ReadsTheEntropyDevice) {
  const auto entropy_of = [](std::string_view text) {
    const auto file = parse_config(file_with(fmt::format(R"("entropy":{})", text)));
    return file ? file->vm.entropy : std::nullopt;
  };
  ASSERT_TRUE(entropy_of("{}")) << "an empty section asks for the device";
  EXPECT_FALSE(entropy_of("{}")->rate_limiter);
  EXPECT_FALSE(entropy_of("null"));
  const auto limited = entropy_of(
      R"({"rate_limiter":{"bandwidth":{"size":1000,"one_time_burst":10,"refill_time":100},)"
      R"("ops":{"size":18446744073709551615,"refill_time":0}}})");
  ASSERT_TRUE(limited && limited->rate_limiter);
  EXPECT_EQ(limited->rate_limiter->bandwidth->size, 1000U);
  EXPECT_EQ(limited->rate_limiter->bandwidth->one_time_burst, 10U);
  EXPECT_EQ(limited->rate_limiter->ops->size, UINT64_MAX);
  for (const auto& [text, error] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"({"z":1})", "entropy.z is not a known field"},
           {"[]", "entropy is a list; it must be an object"},
           {R"({"rate_limiter":1})", "entropy.rate_limiter is the number 1"},
           {R"({"rate_limiter":{"ops":{"size":1}}})", "ops.refill_time is missing"},
           {R"({"rate_limiter":{"ops":{"refill_time":1}}})", "ops.size is missing"},
           {R"({"rate_limiter":{"ops":{"size":-1,"refill_time":1}}})", "ops.size is the number -1"},
           {R"({"rate_limiter":{"ops":{"size":1.5,"refill_time":1}}})",
            "ops.size is the number 1.5"},
           {R"({"rate_limiter":{"ops":{"size":18446744073709551616,"refill_time":1}}})",
            "ops.size is"},
           {R"({"rate_limiter":{"iops":{}}})", "iops is not a known field"}}) {
    EXPECT_THAT(error_of(file_with(fmt::format(R"("entropy":{})", text))), HasSubstr(error))
        << text;
  }
}

TEST(ConfigFile, ReadsAndChecksVsock) {
  const auto file =
      parse_config(file_with(R"("vsock":{"guest_cid":4294967295,"uds_path":"/v","vsock_id":"x"})"));
  ASSERT_TRUE(file) << file.error().text();
  ASSERT_TRUE(file->vm.vsock);
  EXPECT_EQ(file->vm.vsock->guest_cid, UINT32_MAX);
  EXPECT_EQ(file->vm.vsock->uds_path, "/v");
  for (const auto& [value, wrong] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"({"uds_path":"/v"})", "guest_cid"},
           {R"({"guest_cid":3})", "uds_path"},
           {R"({"guest_cid":3,"uds_path":""})", "uds_path"},
           {R"({"guest_cid":3,"uds_path":null})", "uds_path"},
           {R"({"guest_cid":3,"uds_path":1})", "uds_path"},
           {R"({"guest_cid":3,"uds_path":"a\u0000b"})", "uds_path"},
           {R"({"guest_cid":4294967296,"uds_path":"/v"})", "guest_cid"},
           {R"({"guest_cid":-1,"uds_path":"/v"})", "guest_cid"},
           {R"({"guest_cid":3.0,"uds_path":"/v"})", "guest_cid"},
           {R"({"guest_cid":"3","uds_path":"/v"})", "guest_cid"},
           {R"({"guest_cid":3,"uds_path":"/v","vsock_id":1})", "vsock_id"},
           {R"({"guest_cid":3,"uds_path":"/v","cid":3})", "cid"},
           {R"([])", "vsock"}}) {
    EXPECT_THAT(error_of(file_with(fmt::format("\"vsock\":{}", value))),
                AllOf(HasSubstr("vsock"), HasSubstr(wrong)))
        << value;
  }
}

TEST(ConfigFile, AConsoleHasPorts) {
  const auto file = parse_config(file_with(
      R"("console":{"ports":[{"mode":"Stdio"},{"mode":"Socket","path":"s","name":"n","is_console":true},{}]})"));
  ASSERT_TRUE(file) << file.error().text();
  ASSERT_TRUE(file->vm.console);
  ASSERT_EQ(file->vm.console->ports.size(), 3U);
  EXPECT_EQ(file->vm.console->ports[1].path, "s");
  EXPECT_EQ(file->vm.console->ports[2].mode, virtio::PortMode::Null);
  for (const auto& [text, complaint] : {
           std::pair{R"({})", "console.ports is missing"},
           {R"({"ports":[]})", "console: there are 0 ports"},
           {R"({"ports":[{"mode":"Pty"}]})", "console.ports[0].mode is the string"},
           {R"({"ports":[{"mode":"File"}]})", "port 0: path is missing"},
           {R"({"ports":[{"where":"x"}]})", "console.ports[0].where is not a known field"},
           {R"({"ports":{}})", "console.ports is an object"},
       }) {
    const auto refused = parse_config(file_with(fmt::format(R"("console":{})", text)));
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().text().find(complaint), std::string::npos) << refused.error().text();
  }
}

TEST(ConfigFile, AcceptsSectionsThatAskForNothing) {
  EXPECT_EQ(error_of(file_with(R"("network-interfaces":[],"pmem":[],"cpu-config":{})")),
            "no error");
  EXPECT_EQ(error_of(file_with(R"("balloon":null,"vsock":null,"entropy":null,"mmds-config":null,
                                  "memory-hotplug":null,"metrics":null,"cpu-config":null,
                                  "network-interfaces":null,"pmem":null,"logger":null)")),
            "no error");
}

TEST(ConfigFile, HasWhereMetricsGo) {
  const auto file = parse_config(file_with(R"("metrics":{"metrics_path":"/m","emit_id":true})"));
  ASSERT_TRUE(file) << file.error().text();
  ASSERT_TRUE(file->metrics);
  EXPECT_EQ(file->metrics->metrics_path, "/m");
  EXPECT_TRUE(file->metrics->emit_id);
  EXPECT_THAT(error_of(file_with(R"("metrics":{})")), HasSubstr("metrics"));
  EXPECT_THAT(error_of(file_with(R"("metrics":{"metrics_path":"/m","properties":{"a":1}})")),
              HasSubstr("metrics: properties.a"));
}

TEST(ConfigFile, ChecksTheLogger) {
  EXPECT_EQ(error_of(file_with(R"("logger":{"level":"x"})")),
            "logger: level is \"x\"; it must be Off, Error, Warning, Info, Debug or Trace");
  EXPECT_THAT(error_of(file_with(R"("logger":{"level":true})")),
              HasSubstr("logger.level is true; it must be a string"));
}

TEST(ConfigFile, IsReadFromAPath) {
  const test::TempDir dir;
  EXPECT_TRUE(read_config_file(dir.write("good.json", file_with(""))));

  const auto missing = read_config_file(dir / "none");
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(missing.error().text(),
              AllOf(HasSubstr("configuration file \"" + dir.path()), HasSubstr("No such file")));
  EXPECT_THAT(read_config_file(dir.path()).error().text(), HasSubstr("Is a directory"));
  EXPECT_THAT(read_config_file("").error().text(), HasSubstr("No such file"));
  EXPECT_THAT(read_config_file(dir.write("bad.json", "{")).error().text(),
              AllOf(HasSubstr("bad.json"), HasSubstr("line 1, column 2")));
}

TEST(ConfigFile, HasABoundOnItsLength) {
  const test::TempDir dir;
  const std::string text = file_with("");
  EXPECT_TRUE(read_config_file(
      dir.write("full.json", text + std::string(kMaxConfigFile - text.size(), ' '))));
  EXPECT_THAT(read_config_file(dir.write("long.json", text + std::string(kMaxConfigFile, ' ')))
                  .error()
                  .text(),
              HasSubstr("more than 1048576 bytes"));
  // 100 MB, of which no more is read than the bound.
  const std::string sparse = dir.write("sparse.json", text);
  ASSERT_EQ(::truncate(sparse.c_str(), 100'000'000), 0);
  EXPECT_THAT(read_config_file(sparse).error().text(), HasSubstr("more than 1048576 bytes"));
}

TEST(ConfigFile, HasABoundOnItsNesting) {
  EXPECT_THAT(error_of(file_with(
                  fmt::format("\"balloon\":{}{}", std::string(1000, '['), std::string(1000, ']')))),
              HasSubstr("nest deeper than 32 levels"));
}

}  // namespace
}  // namespace mote::api::firecracker
