// What a machine is to its programs beside its files: a name, a clock, a loopback interface.
#pragma once

#include "config.h"

void set_up_host(const struct Config* config);
