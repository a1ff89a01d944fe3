#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Parser {
  struct Config* config;
  size_t arg_count, env_count;
  char* error;
};

[[gnu::format(printf, 2, 3)]]
static bool fail(struct Parser* parser, const char* format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(parser->error, kConfigErrorSize, format, values);
  va_end(values);
  return false;
}

// Decimal digits only, in [low, high]; *end is where they stop.
static bool read_number(const char* text, uint64_t low, uint64_t high, uint64_t* value,
                        const char** end) {
  if (*text < '0' || *text > '9') return false;
  errno = 0;
  char* stop = nullptr;
  *value = strtoull(text, &stop, 10);
  *end = stop;
  return errno == 0 && *value >= low && *value <= high;
}

static bool read_whole_number(const char* text, uint64_t low, uint64_t high, uint64_t* value) {
  const char* end = text;
  return read_number(text, low, high, value, &end) && *end == '\0';
}

static bool set_string(struct Parser* parser, const char** field, const char* key,
                       const char* value) {
  if (*field != nullptr) return fail(parser, "%s is given twice", key);
  *field = value;
  return true;
}

static bool set_path(struct Parser* parser, const char** field, const char* key,
                     const char* value) {
  if (*value != '/') return fail(parser, "%s=%s is not an absolute path", key, value);
  return set_string(parser, field, key, value);
}

static bool set_arg(struct Parser* parser, [[maybe_unused]] const char* key, const char* value) {
  parser->config->args[parser->arg_count++] = value;
  return true;
}

static bool set_env(struct Parser* parser, [[maybe_unused]] const char* key, const char* value) {
  const char* equals = strchr(value, '=');
  if (equals == nullptr || equals == value) {
    return fail(parser, "env=%s is not of the form env=NAME=VALUE", value);
  }
  parser->config->env[parser->env_count++] = value;
  return true;
}

static bool set_workdir(struct Parser* parser, const char* key, const char* value) {
  return set_path(parser, &parser->config->workdir, key, value);
}

static bool set_root(struct Parser* parser, const char* key, const char* value) {
  if (strncmp(value, "/dev/", 5) != 0 || value[5] == '\0') {
    return fail(parser, "root=%s is not a device under /dev/", value);
  }
  return set_string(parser, &parser->config->root, key, value);
}

static bool set_rootfs(struct Parser* parser, const char* key, const char* value) {
  if (strcmp(value, "ext4") != 0 && strcmp(value, "squashfs") != 0 && strcmp(value, "erofs") != 0) {
    return fail(parser, "rootfs=%s is unknown; it is ext4, squashfs or erofs", value);
  }
  return set_string(parser, &parser->config->rootfs, key, value);
}

static bool set_hostname(struct Parser* parser, const char* key, const char* value) {
  const size_t length = strlen(value);
  if (length == 0 || length > kMaxHostName) {
    return fail(parser, "hostname has %zu characters; 1 to %d are right", length, kMaxHostName);
  }
  return set_string(parser, &parser->config->hostname, key, value);
}

static bool set_term(struct Parser* parser, const char* key, const char* value) {
  return set_string(parser, &parser->config->term, key, value);
}

static bool set_tty(struct Parser* parser, [[maybe_unused]] const char* key, const char* value) {
  if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0) {
    return fail(parser, "tty=%s is neither 0 nor 1", value);
  }
  parser->config->tty = value[0] == '1';
  return true;
}

static bool set_extent(struct Parser* parser, const char* key, const char* value, uint16_t* field) {
  uint64_t number = 0;
  if (!read_whole_number(value, 0, UINT16_MAX, &number)) {
    return fail(parser, "%s=%s is not a number from 0 to %d", key, value, UINT16_MAX);
  }
  *field = (uint16_t)number;
  return true;
}

static bool set_rows(struct Parser* parser, const char* key, const char* value) {
  return set_extent(parser, key, value, &parser->config->rows);
}

static bool set_columns(struct Parser* parser, const char* key, const char* value) {
  return set_extent(parser, key, value, &parser->config->columns);
}

static bool set_user(struct Parser* parser, [[maybe_unused]] const char* key, const char* value) {
  const uint64_t highest = UINT32_MAX - 1;  // (uid_t)-1 means "no change" to the kernel
  uint64_t uid = 0, gid = 0;
  const char* end = value;
  bool good = read_number(value, 0, highest, &uid, &end);
  gid = uid;
  if (good && *end == ':') good = read_number(end + 1, 0, highest, &gid, &end);
  if (!good || *end != '\0') return fail(parser, "user=%s is not of the form UID[:GID]", value);
  parser->config->has_user = true;
  parser->config->uid = (uid_t)uid;
  parser->config->gid = (gid_t)gid;
  return true;
}

static bool set_time(struct Parser* parser, [[maybe_unused]] const char* key, const char* value) {
  if (!read_whole_number(value, 0, INT64_MAX, &parser->config->time_ns)) {
    return fail(parser, "time=%s is not a number of nanoseconds since 1970", value);
  }
  return true;
}

static const struct Key {
  const char* name;
  bool (*set)(struct Parser*, const char* key, const char* value);
} kKeys[] = {
    {"arg", set_arg},       {"env", set_env},      {"workdir", set_workdir},   {"root", set_root},
    {"rootfs", set_rootfs}, {"tty", set_tty},      {"hostname", set_hostname}, {"term", set_term},
    {"rows", set_rows},     {"cols", set_columns}, {"user", set_user},         {"time", set_time},
};

static bool read_record(struct Parser* parser, const char* record) {
  const char* equals = strchr(record, '=');
  if (equals == nullptr) return fail(parser, "'%s' is not of the form key=value", record);
  const size_t length = (size_t)(equals - record);
  for (size_t i = 0; i < sizeof kKeys / sizeof kKeys[0]; ++i) {
    if (strlen(kKeys[i].name) == length && memcmp(kKeys[i].name, record, length) == 0) {
      return kKeys[i].set(parser, kKeys[i].name, equals + 1);
    }
  }
  return fail(parser, "'%.*s' is not a key that is known here", (int)length, record);
}

static size_t count_records(const char* text, size_t size) {
  size_t count = 0;
  for (size_t i = 0; i < size; ++i) count += text[i] == '\0';
  return count;
}

bool config_parse(const char* text, size_t size, struct Config* config,
                  char error[kConfigErrorSize]) {
  *config = (struct Config){};
  struct Parser parser = {.config = config, .error = error};
  if (size == 0 || text[size - 1] != '\0') {
    return fail(&parser, "its %zu bytes do not end with a NUL byte", size);
  }
  const size_t most = count_records(text, size) + 1;
  config->args = calloc(most, sizeof *config->args);
  config->env = calloc(most, sizeof *config->env);
  if (config->args == nullptr || config->env == nullptr) return fail(&parser, "no memory");

  for (const char* record = text; record < text + size; record += strlen(record) + 1) {
    if (!read_record(&parser, record)) return false;
  }
  if (parser.arg_count == 0) return fail(&parser, "it names no command (arg=)");
  if (config->args[0][0] == '\0') return fail(&parser, "the command's name is empty");
  return true;
}

void config_free(struct Config* config) {
  free(config->args);
  free(config->env);
  *config = (struct Config){};
}
