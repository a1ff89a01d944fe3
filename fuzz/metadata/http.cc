// The HTTP of the metadata service: any bytes are a request, the beginning of one, or refused.
#include "fuzz/input.h"
#include "fuzz/target.h"
#include "metadata/service.h"

namespace mote::fuzz {

void run(std::span<const std::uint8_t> bytes) {
  Input input(bytes);
  metadata::Store store;
  require(store.put(R"({"a":{"b":"c","~":[1,"x",{}]},"":null})").has_value(), "sound data");
  metadata::MmdsMetrics metrics;
  const metadata::MmdsConfig config{
      .version = input.once_in(2) ? metadata::Version::V2 : metadata::Version::V1,
      .network_interfaces = {"e"},
      .imds_compat = input.once_in(2)};
  metadata::Service service(config, store, metrics);
  std::string received = input.rest();
  received.resize(std::min(received.size(), metadata::kMostRequest));
  while (true) {
    const auto turn = service.serve(received);
    require(turn.taken <= received.size(), "no more is taken than there is");
    require((turn.taken == 0) == turn.response.empty(), "what is taken is answered");
    if (turn.taken == 0) {
      require(received.size() < metadata::kMostRequest, "a full buffer is dealt with");
      return;
    }
    require(turn.response.starts_with("HTTP/1.1 "), "the answer is HTTP");
    require(turn.response.find("\r\n\r\n") != std::string::npos, "and whole");
    if (turn.close) return;
    received.erase(0, turn.taken);
  }
}

std::vector<std::string> seeds() {
  const std::string get = "GET /a/b HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n";
  return {"  " + get + get,
          "  PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 60\r\n\r\n",
          "  GET http://x//a/~0/2/ HTTP/1.0\r\nX-aws-ec2-metadata-token: x\r\n\r\n",
          "  PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcHEAD / HTTP/1.1\r\n\r\n",
          "  PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"};
}

}  // namespace mote::fuzz
