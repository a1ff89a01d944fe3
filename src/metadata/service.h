// Service is the metadata service as the guest's HTTP client knows it: it answers requests with
// what the Store holds, to those who may ask. One for a machine, whatever the number of its
// interfaces; it belongs to the machine thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/event_loop.h"
#include "metadata/config.h"
#include "metadata/http.h"
#include "metadata/metrics.h"
#include "metadata/state.h"
#include "metadata/store.h"
#include "metadata/token.h"
#include "network/link.h"

namespace mote::metadata {

class Service {
 public:
  // `config` was checked. The store and the metrics outlive the service.
  Service(const MmdsConfig& config, const Store& store, MmdsMetrics& metrics,
          Tokens::Clock clock = {});
  // The service that `state` was saved of, over a store of another process: sessions are not kept.
  // An error (kInvalid): it has no configuration that makes sense.
  static Result<std::unique_ptr<Service>> restore(const ServiceState& state, const Store& store,
                                                  MmdsMetrics& metrics);
  ServiceState save() const { return {.config = config_}; }

  // `link`, with the service in front of it where `interface` (an iface_id) is one of its own. What
  // comes back lives no longer than the service.
  std::unique_ptr<network::Link> in_front_of(std::string_view interface,
                                             std::unique_ptr<network::Link> link);

  // What the service makes of the beginning of a connection's bytes.
  struct Turn {
    std::size_t taken = 0;  // bytes that are dealt with; 0: a request is not complete yet
    std::string response{};
    bool close = false;  // there is no further request on this connection
  };
  // Takes one request. `bytes` are at most kMostRequest; that many are always enough for a turn.
  Turn serve(std::string_view bytes);

  const MmdsConfig& config() const { return config_; }
  MmdsMetrics& metrics() { return metrics_; }

 private:
  HttpResponse respond(const HttpRequest& request);
  HttpResponse give_token(const HttpRequest& request);
  HttpResponse give_data(const HttpRequest& request);

  MmdsConfig config_;
  const Store& store_;
  MmdsMetrics& metrics_;
  Tokens tokens_;
};

}  // namespace mote::metadata
