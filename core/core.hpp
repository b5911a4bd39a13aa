#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <sys/types.h>

#include "auto_config.hpp"

/// The types that every folder shares. Their names are nginx's, less the prefix, where nginx has
/// such a type.
namespace ngx {

/// The result of most of nginx's functions. `again`: call again when the descriptor is ready.
/// `declined`: the function did not handle it. `done`: another function continues the work.
enum class [[nodiscard]] Rc : int{
    ok = 0, error = -1, again = -2, busy = -3, done = -4, declined = -5, abort = -6,
};

/// recv, send and similar functions return a number of bytes or one of these two.
inline constexpr ssize_t io_error = static_cast<ssize_t>(Rc::error);
inline constexpr ssize_t io_again = static_cast<ssize_t>(Rc::again);

using Err = int;
using Msec = std::uint64_t;
using MsecInt = std::int64_t;

inline constexpr int invalid_file = -1;
inline constexpr int invalid_socket = -1;

class Pool;
struct Buf;
struct Chain;
struct Command;
struct Conf;
struct ConfFile;
struct Connection;
struct Cycle;
struct Event;
struct EventAio;
struct File;
struct Listening;
struct Log;
struct Module;
struct OpenFile;
struct ProxyProtocol;
struct ThreadPool;
struct ThreadTask;
struct UdpConnection;
struct UdpConnections;

using EventHandler = void (*)(Event& ev) noexcept;
using ConnectionHandler = void (*)(Connection& c) noexcept;

}  // namespace ngx
