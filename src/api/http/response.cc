#include "api/http/response.h"

#include <fmt/format.h>

#include <iterator>

#include "base/json.h"

namespace mote::api::http {

void append(std::string& out, const Response& response, Afterwards afterwards) {
  const auto end = std::back_inserter(out);
  fmt::format_to(end, "HTTP/1.1 {} \r\nServer: Firecracker API\r\nConnection: {}\r\n",
                 response.status, afterwards == Afterwards::kClose ? "close" : "keep-alive");
  if (response.deprecated) out += "Deprecation: true\r\n";
  if (!response.body.empty()) {
    fmt::format_to(end, "Content-Type: application/json\r\nContent-Length: {}\r\n",
                   response.body.size());
  } else if (response.status != 204) {
    // Without it, the end of the connection would be that of the body (RFC 9112, section 6.3).
    out += "Content-Length: 0\r\n";
  }
  out += "\r\n";
  out += response.body;
}

void append_continue(std::string& out) {
  out += "HTTP/1.1 100 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n";
}

Response refusal(std::string_view complaint) {
  json::Writer writer;
  writer.begin_object();
  writer.key("error");
  writer.string(complaint);
  writer.key("fault_message");
  writer.string(complaint);
  writer.end_object();
  return {.status = 400, .body = std::move(writer).take()};
}

}  // namespace mote::api::http
