// RequestParser makes requests of the bytes of one connection: HTTP/1.1 (RFC 9112) by Boost.Beast's
// parser, bounded, and with a verdict on what is sound as HTTP but no request to us.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "api/http/message.h"

namespace mote::api::http {

// The longest request line, with its line feed, as Firecracker has it.
inline constexpr std::size_t kMaxRequestLine = 1024;
// The most that a request line and the header fields may have together. One field may fill it.
inline constexpr std::size_t kMaxHead = std::size_t{16} << 10;

class RequestParser {
 public:
  // `body_limit`: the most bytes that a body may have.
  explicit RequestParser(std::size_t body_limit) : body_limit_(body_limit) {}

  enum class State {
    kNeedMore,  // nothing to do until more bytes arrive
    kExpects,   // the client waits for "100 Continue" before it sends the body; said once
    kRequest,   // take() has a request
    kRefused,   // a whole message that cannot be a request; complaint() says why
    kBroken,    // where the message ends is not known, or its body is too large; nothing that
                // follows can be told from it. complaint() says why
  };
  struct Step {
    std::size_t taken;  // bytes that are dealt with; the rest is to be given again, with more
    State state;
  };
  // Takes what it can from the beginning of `bytes`. After kRequest and kRefused the next message
  // begins; after kBroken there must be no further call.
  Step feed(std::string_view bytes);

  // The request of kRequest, once.
  Request take() { return std::move(request_); }
  // What is wrong, as a sentence.
  const std::string& complaint() const { return complaint_; }
  // Whether the message that is being read has begun.
  bool midway() const { return message_.has_value(); }

 private:
  using Error = boost::beast::error_code;
  using Text = boost::beast::string_view;

  // One message.
  class Message final : public boost::beast::http::basic_parser<true> {
   public:
    explicit Message(RequestParser& owner) : owner_(owner) {
      header_limit(kMaxHead);
      body_limit(boost::none);
    }

    std::size_t head_bytes = 0;
    bool expects = false;  // an answer to `Expect: 100-continue` is due

   private:
    void on_request_impl(boost::beast::http::verb, Text method, Text target, int version,
                         Error& error) override;
    void on_response_impl(int, Text, int, Error&) override {}
    void on_field_impl(boost::beast::http::field field, Text name, Text value,
                       Error& error) override;
    void on_header_impl(Error& error) override;
    void on_body_init_impl(boost::optional<std::uint64_t> const&, Error&) override {}
    std::size_t on_body_impl(Text text, Error& error) override;
    void on_chunk_header_impl(std::uint64_t, Text, Error&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, Text text, Error& error) override;
    void on_finish_impl(Error&) override {}

    // Adds to the body, unless it would be longer than it may.
    std::size_t add(Text text, Error& error);

    RequestParser& owner_;
    bool http11_ = false;
    bool encoded_ = false;       // there is a Transfer-Encoding
    bool other_coding_ = false;  // and it is not chunked alone
  };

  // Begins a message with `bytes`; false: `step` is what came of it.
  bool begin(std::string_view bytes, Step& step);
  Step finish(std::size_t taken);
  Step broken(std::size_t taken, std::string complaint);
  // The first complaint about a message is the one that is told.
  void complain(std::string text);
  void complain_of_size();

  std::size_t body_limit_;
  std::optional<Message> message_;
  Request request_;
  std::string complaint_;
};

}  // namespace mote::api::http
