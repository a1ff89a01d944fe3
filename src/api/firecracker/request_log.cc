#include "api/firecracker/request_log.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/log.h"

namespace mote::api::firecracker {
namespace {

// "Put" for PUT; what is no method of the API's, as it came.
std::string method_name(const std::string& method) {
  const bool known = method == "GET" || method == "PUT" || method == "PATCH" || method == "DELETE";
  if (!known) return json::quote(method);
  std::string name = method;
  std::transform(name.begin() + 1, name.end(), name.begin() + 1,
                 [](char letter) { return static_cast<char>(letter - 'A' + 'a'); });
  return name;
}

bool may_hold_secrets(std::string_view target) {
  return target.starts_with("/mmds") && !target.starts_with("/mmds/config");
}

// RFC 9110, section 15, of the statuses that this API has.
std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    default:
      return "Other";
  }
}

}  // namespace

void log_request(const http::Request& request) {
  // A body is quoted whole, which takes its time.
  if (!log::enabled(log::Level::kInfo)) return;
  const bool with_body = !request.body.empty() && !may_hold_secrets(request.target);
  log::info("The API server received a {} request on {}{}{}.", method_name(request.method),
            json::quote(request.target), with_body ? " with body " : "",
            with_body ? json::quote(request.body) : "");
}

void log_answer(const http::Response& response) {
  if (response.status < 300) {
    log::info("The request was executed successfully. Status code: {} {}.", response.status,
              reason(response.status));
  } else {
    log::error("Received Error. Status code: {} {}. Message: {}", response.status,
               reason(response.status), response.body);
  }
}

}  // namespace mote::api::firecracker
