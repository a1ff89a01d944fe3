#include "metadata/http.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/core/string.hpp>
// What names the reading and writing of whole messages by Asio is not wanted here.
#include <boost/beast/http/basic_parser.hpp>

namespace mote::metadata {
namespace {

namespace beast = boost::beast;
using beast::iequals;
using beast::http::error;
using Code = beast::error_code;
using Text = beast::string_view;

std::string_view view(Text text) { return {text.data(), text.size()}; }

// The path within a request target (RFC 9112, section 3.2): of `http://host/path` its path.
std::string path_of(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (target.size() >= kScheme.size() &&
      iequals(Text(target.data(), kScheme.size()), Text(kScheme.data(), kScheme.size()))) {
    const auto slash = target.find('/', kScheme.size());
    return slash == std::string_view::npos ? "/" : std::string(target.substr(slash));
  }
  return std::string(target);
}

class Parser final : public beast::http::basic_parser<true> {
 public:
  Parser() {
    eager(true);
    header_limit(kMostRequest);
    body_limit(kMostRequest);
  }

  HttpRequest request;

 private:
  // A header that comes again with another value says nothing that can be relied on.
  static void take_once(std::optional<std::string>& into, Text value) {
    if (into && *into != view(value)) {
      into->clear();
    } else {
      into = view(value);
    }
  }

  void on_request_impl(beast::http::verb, Text method, Text target, int, Code&) override {
    request.method = view(method);
    request.path = path_of(view(target));
  }
  void on_response_impl(int, Text, int, Code&) override {}
  void on_field_impl(beast::http::field, Text name, Text value, Code&) override {
    if (iequals(name, "Accept")) request.wants_json = iequals(value, "application/json");
    if (iequals(name, "X-Forwarded-For")) request.forwarded = true;
    if (iequals(name, "X-metadata-token") || iequals(name, "X-aws-ec2-metadata-token")) {
      take_once(request.token, value);
    }
    const bool aws = iequals(name, "X-aws-ec2-metadata-token-ttl-seconds");
    if (aws || iequals(name, "X-metadata-token-ttl-seconds")) {
      take_once(request.token_life, value);
      request.token_life_is_aws = aws;
    }
  }
  void on_header_impl(Code& code) override {
    // An answer in chunks is never asked for, and a body in chunks has no use.
    if (chunked()) code = error::bad_transfer_encoding;
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
  std::size_t on_body_impl(Text body, Code&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, Text, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text body, Code&) override { return body.size(); }
  void on_finish_impl(Code&) override {}
};

HttpResponse refusal_of(const Code& code) {
  if (code == error::bad_version) {
    return {.status = 501, .body = "The request must be HTTP/1.1 or HTTP/1.0."};
  }
  if (code == error::bad_transfer_encoding) {
    return {.status = 501, .body = "A body in chunks, or otherwise encoded, is not taken."};
  }
  if (code == error::body_limit || code == error::header_limit || code == error::buffer_overflow) {
    return {.status = 400, .body = "The request is too large."};
  }
  return {.status = 400, .body = "The request is no proper HTTP."};
}

std::string_view reason_of(unsigned status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    default:
      return "Not Implemented";
  }
}

}  // namespace

ParsedRequest parse_request(std::string_view bytes) {
  const bool full = bytes.size() >= kMostRequest;
  ParsedRequest parsed;
  // Empty lines may stand before a request (RFC 9112, section 2.2).
  const std::size_t begin = std::min(bytes.find_first_not_of("\r\n"), bytes.size());
  const std::string_view message = bytes.substr(begin);
  if (message.find("\r\n\r\n") == std::string_view::npos && !full) return parsed;

  Parser parser;
  Code code;
  const std::size_t used =
      parser.put(boost::asio::const_buffer(message.data(), message.size()), code);
  if (!code && parser.is_done()) {
    parsed.taken = begin + used;
    parsed.request = std::move(parser.request);
    parsed.request.keep_alive = parser.keep_alive();
    return parsed;
  }
  const bool incomplete = !code || code == error::need_more;
  if (incomplete && !full) return parsed;
  parsed.taken = bytes.size();
  parsed.refusal = refusal_of(incomplete ? Code(error::header_limit) : code);
  return parsed;
}

std::string render(const HttpResponse& response, std::string_view method, bool close) {
  std::string text =
      fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n", response.status,
                  reason_of(response.status), response.json ? "application/json" : "text/plain",
                  response.body.size());
  if (!response.header.empty()) text += response.header + "\r\n";
  text += close ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n";
  if (method != "HEAD") text += response.body;
  return text;
}

}  // namespace mote::metadata
