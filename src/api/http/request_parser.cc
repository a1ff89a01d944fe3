#include "api/http/request_parser.h"

#include <algorithm>
#include <array>
#include <boost/beast/core/string.hpp>

#include "base/json.h"
#include "base/utf8.h"

namespace mote::api::http {
namespace {

namespace beast = boost::beast;
using beast::http::error;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

// The path within a request target (RFC 9112, section 3.2): of `http://host/path` its path; what
// has none means the root, as Firecracker has it.
std::string path_of(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (target.starts_with(kScheme)) {
    const auto slash = target.find('/', kScheme.size());
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  return std::string(target.starts_with('/') ? target : "/");
}

// Whether an Accept-Encoding field leaves no encoding in which we answer (RFC 9110, section
// 12.5.3): we know `identity` alone.
bool refuses_identity(std::string_view value) {
  std::string plain(value);
  std::erase(plain, ' ');
  return plain.empty() || beast::iequals(plain, "identity;q=0") || beast::iequals(plain, "*;q=0");
}

std::string sentence_of(const beast::error_code& code) {
  if (code == error::bad_version) return "the request line must end with HTTP/1.1 or HTTP/1.0";
  if (code == error::bad_method) return "the request begins with no method";
  if (code == error::bad_target) return "the request line has no proper path";
  if (code == error::header_limit) return "the request's header is too long";
  if (code == error::bad_content_length)
    return "Content-Length is no number of bytes; it must be digits";
  if (code == error::multiple_content_length)
    return "Content-Length is given twice, with different values";
  if (code == error::bad_transfer_encoding)
    return "a Transfer-Encoding beside a Content-Length leaves open where the body ends; give one";
  if (code == error::bad_chunk || code == error::bad_chunk_extension)
    return "the chunks of the body are malformed";
  return "a header field is malformed";
}

}  // namespace

void RequestParser::Message::on_request_impl(beast::http::verb, Text method, Text target,
                                             int version, Error&) {
  Request& request = owner_.request_;
  request.method = view(method);
  const std::string_view path = view(target);
  constexpr std::array<std::string_view, 4> kMethods{"GET", "PUT", "PATCH", "DELETE"};
  if (std::ranges::find(kMethods, request.method) == kMethods.end()) {
    owner_.complain(fmt::format("the method is {}; it must be GET, PUT, PATCH or DELETE",
                                json::quote(request.method)));
  }
  constexpr std::size_t kAround = sizeof "  HTTP/1.1\r\n" - 1;
  if (method.size() + path.size() + kAround >= kMaxRequestLine) {
    owner_.complain(fmt::format("the request line has {} bytes; it must have less than {}",
                                method.size() + path.size() + kAround, kMaxRequestLine));
  }
  if (find_invalid_utf8(path)) owner_.complain("the path is not UTF-8");
  request.target = path_of(path);
  http11_ = version >= 11;
}

void RequestParser::Message::on_field_impl(beast::http::field field, Text name, Text value,
                                           Error&) {
  using beast::http::field;
  if (find_invalid_utf8(view(value))) {
    owner_.complain(fmt::format("the header field {} is not UTF-8", json::quote(view(name))));
  }
  if (field == field::expect && beast::iequals(value, "100-continue")) expects = http11_;
  if (field == field::transfer_encoding) {
    encoded_ = true;
    if (!beast::iequals(value, "chunked")) other_coding_ = true;
  }
  if (field == field::accept_encoding && refuses_identity(view(value))) {
    owner_.complain("Accept-Encoding leaves no encoding; answers have none (identity)");
  }
}

void RequestParser::Message::on_header_impl(Error& error) {
  const auto length = content_length_remaining();
  if (!length) {
    expects = expects && chunked();
    if (chunked() && other_coding_) {
      owner_.complain("the Transfer-Encoding has other codings than chunked, which are not known");
    } else if (encoded_ && !chunked()) {
      owner_.complain("the Transfer-Encoding leaves open where the body ends; it must be chunked");
      error = beast::http::error::bad_transfer_encoding;
    }
    return;
  }
  if (*length > owner_.body_limit_) {
    owner_.complain_of_size();
    error = beast::http::error::body_limit;
    return;
  }
  expects = expects && *length > 0;
  owner_.request_.body.reserve(static_cast<std::size_t>(*length));
}

std::size_t RequestParser::Message::add(Text text, Error& error) {
  std::string& body = owner_.request_.body;
  if (text.size() > owner_.body_limit_ - body.size()) {
    owner_.complain_of_size();
    error = beast::http::error::body_limit;
    return 0;
  }
  body.append(text.data(), text.size());
  return text.size();
}

std::size_t RequestParser::Message::on_body_impl(Text text, Error& error) {
  return add(text, error);
}

std::size_t RequestParser::Message::on_chunk_body_impl(std::uint64_t, Text text, Error& error) {
  return add(text, error);
}

void RequestParser::complain(std::string text) {
  if (complaint_.empty()) complaint_ = std::move(text);
}

void RequestParser::complain_of_size() {
  complaint_ =
      fmt::format("the body is larger than {} bytes (--http-api-max-payload-size)", body_limit_);
}

RequestParser::Step RequestParser::finish(std::size_t taken) {
  message_.reset();
  return {taken, complaint_.empty() ? State::kRequest : State::kRefused};
}

bool RequestParser::begin(std::string_view bytes, Step& step) {
  // A line is judged when it is whole, as Firecracker does: what comes without an end of line, such
  // as the rest of a body that was announced too short, is answered once.
  if (bytes.find("\r\n") == std::string_view::npos) {
    step = {0, State::kNeedMore};
    if (bytes.size() >= kMaxHead) step = broken(0, "the request line has no end");
    return false;
  }
  request_ = {};
  complaint_.clear();
  message_.emplace(*this);
  return true;
}

RequestParser::Step RequestParser::broken(std::size_t taken, std::string complaint) {
  complain(std::move(complaint));
  return {taken, State::kBroken};
}

RequestParser::Step RequestParser::feed(std::string_view bytes) {
  Step step{};
  if (!message_ && !begin(bytes, step)) return step;
  std::size_t taken = 0;
  while (true) {
    beast::error_code code;
    const std::string_view rest = bytes.substr(taken);
    const bool in_head = !message_->is_header_done();
    const std::size_t used = message_->put({rest.data(), rest.size()}, code);
    taken += used;
    if (in_head) {
      message_->head_bytes += used;
      const std::size_t waiting = message_->is_header_done() ? 0 : rest.size() - used;
      if (message_->head_bytes + waiting > kMaxHead) code = beast::http::error::header_limit;
    }
    if (code && code != error::need_more) return broken(taken, sentence_of(code));
    if (message_->is_done()) return finish(taken);
    if (message_->is_header_done() && std::exchange(message_->expects, false)) {
      return {taken, State::kExpects};
    }
    if (code || taken == bytes.size()) {
      if (bytes.size() - taken >= kMaxHead) return broken(taken, "a chunk's header has no end");
      return {taken, State::kNeedMore};
    }
  }
}

}  // namespace mote::api::http
