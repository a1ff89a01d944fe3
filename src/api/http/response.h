// Answers in their wire form, byte for byte as Firecracker's clients know them.
#pragma once

#include <string>
#include <string_view>

#include "api/http/message.h"

namespace mote::api::http {

// What becomes of the connection, as the answer's Connection field says it.
enum class Afterwards { kKeepAlive, kClose };

// Appends `response` to `out`. The reason phrase is empty, with the space before it (RFC 9112,
// section 4), which Beast's serializer would fill in.
void append(std::string& out, const Response& response, Afterwards afterwards);

// Appends the interim answer "100 Continue".
void append_continue(std::string& out);

// The answer to what was no proper request: 400, with the sentence under both names that clients
// look for it (`error` is Firecracker's here, `fault_message` that of its other errors).
Response refusal(std::string_view complaint);

}  // namespace mote::api::http
