// From the text of a request to what it asks for, whatever the machine.
#include <gmock/gmock.h>

#include "api_firecracker/api_fixture.h"

namespace mote::api::firecracker::test {
namespace {

using Routes = ApiTest;

TEST_F(Routes, SlashesAroundAPathMeanNothing) {
  for (const char* path :
       {"/version", "version", "//version", "/version/", "http://host/version"}) {
    EXPECT_EQ(ask("GET", path).status, 200) << path;
  }
  for (const char* path : {"/", "//", "*", "http://host", "http://host/"}) {
    EXPECT_EQ(ask("GET", path).status, 200) << path;
  }
}

TEST_F(Routes, WhatIsNoPathIsRefused) {
  for (const char* path :
       {"/nope", "/VERSION", "/version?x=1", "/version#x", "/%76ersion", "/ver sion", "/./version",
        "/version//", "/version/x", "/drives", "/drives/", "/drives/d1/x", "/a/b/c/d/e/f/g/h"}) {
    const http::Response response = ask("GET", path);
    EXPECT_EQ(response.status, 400) << path;
    EXPECT_NE(response.body.find("there is nothing at"), std::string::npos) << response.body;
  }
}

TEST_F(Routes, AWrongMethodIsToldTheRightOnes) {
  const http::Response response = ask("POST", "/machine-config", "{}");
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("GET, PUT, PATCH"), std::string::npos) << response.body;
  for (const char* method : {"", "get", "HEAD", "OPTIONS", "PURGE", "DELETE"}) {
    EXPECT_EQ(ask(method, "/").status, 400) << method;
  }
}

TEST_F(Routes, AnIdIsLettersDigitsAndUnderscores) {
  for (const char* id : {"a", "A_1", "_", "1"}) {
    EXPECT_EQ(put(fmt::format("/drives/{}", id), drive(id)), 204) << id;
  }
  const std::string long_id(300, 'a');
  EXPECT_EQ(put("/drives/" + long_id, drive(long_id)), 204);
  for (const char* id : {"a-b", "a.b", "a%20b", "a b", "\xc3\xa9", "\xff", "a?x"}) {
    const http::Response response = ask("PUT", fmt::format("/drives/{}", id), drive(id));
    EXPECT_EQ(response.status, 400) << id;
    EXPECT_NE(response.body.find("drive_id in the path"), std::string::npos) << response.body;
  }
}

TEST_F(Routes, TheIdOfThePathIsThatOfTheBody) {
  EXPECT_EQ(put("/drives/a", drive("b")), 400);
  EXPECT_EQ(put("/pmem/a", fmt::format(R"({{"id":"b","path_on_host":"{}"}})", disk)), 400);
  EXPECT_EQ(put("/network-interfaces/a", R"({"iface_id":"b","host_dev_name":"x"})"), 400);
}

TEST_F(Routes, ABodyIsOneWholeJsonValue) {
  for (const char* body : {"", "{", "null", "[]", "\"x\"", "1", "{}x", "{},{}", "\xef\xbb\xbf{}",
                           R"({"vcpu_count":1,"mem_size_mib":128,})",
                           R"({"vcpu_count":1,"mem_size_mib":128,"more":1})",
                           R"({"vcpu_count":1,"vcpu_count":1,"mem_size_mib":128})"}) {
    const http::Response response = ask("PUT", "/machine-config", body);
    EXPECT_EQ(response.status, 400) << body;
    EXPECT_NE(response.body.find("fault_message"), std::string::npos);
  }
  EXPECT_EQ(put("/machine-config", R"( {"vcpu_count":1,"mem_size_mib":128} )"), 204);
}

TEST_F(Routes, AMessageOfAnyBytesIsJson) {
  const http::Response response = ask("GET", "/\xff\n\"\\");
  EXPECT_EQ(response.status, 400);
  EXPECT_TRUE(json::parse(response.body)) << response.body;
}

TEST_F(Routes, GetAndDeleteHaveNoBody) {
  EXPECT_EQ(ask("GET", "/", "{}").status, 400);
  EXPECT_EQ(ask("DELETE", "/drives/a", "{}").status, 400);
}

TEST_F(Routes, DescriptorsThatNothingTakesAreRefused) {
  http::Request request{.method = "PUT", .target = "/entropy", .body = "{}"};
  request.descriptors.push_back(*make_eventfd());
  const http::Response refused = ask(std::move(request));
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body,
              testing::HasSubstr("1 descriptors came with the request, which takes none"));
  EXPECT_EQ(put("/entropy", "{}"), 204);
}

TEST_F(Routes, DeprecatedFieldsAreTold) {
  const auto deprecated = [this](const char* method, const char* path, const std::string& body) {
    return ask(method, path, body).deprecated;
  };
  EXPECT_TRUE(deprecated("PUT", "/machine-config",
                         R"({"vcpu_count":1,"mem_size_mib":128,"cpu_template":"None"})"));
  EXPECT_FALSE(deprecated("PUT", "/machine-config",
                          R"({"vcpu_count":1,"mem_size_mib":128,"cpu_template":null})"));
  EXPECT_TRUE(deprecated("PATCH", "/machine-config", R"({"cpu_template":"T2"})"));
  EXPECT_TRUE(deprecated("PUT", "/vsock", R"({"guest_cid":3,"uds_path":"/x","vsock_id":"v"})"));
  EXPECT_FALSE(deprecated("PUT", "/vsock", R"({"guest_cid":3,"uds_path":"/x"})"));
  EXPECT_TRUE(deprecated("PUT", "/mmds/config", R"({"network_interfaces":["n"]})"));
  EXPECT_FALSE(deprecated("PUT", "/mmds/config", R"({"network_interfaces":["n"],"version":"V2"})"));
  // Where the value itself is none, nothing else counts.
  EXPECT_FALSE(
      deprecated("PUT", "/mmds/config", R"({"network_interfaces":["n"],"ipv4_address":"x"})"));
  EXPECT_FALSE(deprecated("PATCH", "/machine-config", R"({"cpu_template":"V1N1"})"));
}

}  // namespace
}  // namespace mote::api::firecracker::test
