// The HTTP (RFC 9112) of the metadata service: requests out of a guest's bytes, and responses into
// bytes. The parser is Boost.Beast's, as for the API's server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mote::metadata {

// The most that a request may have altogether. It is what a connection buffers.
inline constexpr std::size_t kMostRequest = 8192;

// A request with what the service looks at.
struct HttpRequest {
  std::string method;
  std::string path;  // without scheme and authority where it had them
  bool keep_alive = true;
  bool wants_json = false;  // Accept: application/json
  bool forwarded = false;   // X-Forwarded-For: it went through a proxy
  // The session token, and the life in seconds that a new one is to have; under either name. A
  // header that comes twice with two values has neither.
  std::optional<std::string> token{};
  std::optional<std::string> token_life{};
  bool token_life_is_aws = false;  // by its name as IMDS has it
};

struct HttpResponse {
  unsigned status = 200;
  std::string body{};
  bool json = false;  // the body; else it is plain text
  // A header of its own, "Name: value".
  std::string header{};
};

// What the beginning of a connection's bytes is.
struct ParsedRequest {
  // Bytes that are dealt with; 0: the request is not complete.
  std::size_t taken = 0;
  HttpRequest request{};
  // Set: no request, and this is the answer. Nothing that follows can be told from it.
  std::optional<HttpResponse> refusal{};
};

// Parses the request at the beginning of `bytes`, which are at most kMostRequest. With that many,
// a request that is not complete is refused.
ParsedRequest parse_request(std::string_view bytes);

// The bytes of `response` to a request of `method`; `close`: no other follows on its connection.
std::string render(const HttpResponse& response, std::string_view method, bool close);

}  // namespace mote::metadata
