#include "virtio/net/control.h"

#include "virtio/net/net_abi.h"

#include "virtio/queue/serve.h"

namespace mote::virtio {

void Control::kick() {
  if (!queue_) return;
  serve(*queue_, [this](Chain chain) { handle(std::move(chain)); });
}

void Control::handle(Chain chain) {
  virtio_net_ctrl_ack answer = VIRTIO_NET_OK;
  if (!chain.out().keep_tail(sizeof answer)) {
    // No room for an answer: the driver hears that nothing was written.
    ++metrics_.control_fails;
  } else {
    if (!obey(chain.in())) {
      answer = VIRTIO_NET_ERR;
      ++metrics_.control_fails;
    }
    chain.out().write_tail(std::as_bytes(std::span(&answer, 1)));
  }
  std::move(chain).complete();
}

bool Control::obey(ChainReader& command) {
  const auto header = command.read<virtio_net_ctrl_hdr>();
  if (!header) return false;
  if (header->class_ != VIRTIO_NET_CTRL_MQ || header->cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET) {
    return false;
  }
  const auto pairs = command.read<std::uint16_t>();
  return pairs && use_pairs_(*pairs);
}

}  // namespace mote::virtio
