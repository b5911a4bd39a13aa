#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <sys/types.h>

#include "auto_config.hpp"

/// The types that every folder shares. Their names are nginx's, less the prefix, where nginx has
/// such a type. Some of nginx's types have a counterpart in a library instead: ngx_str_t is
/// std::string_view, ngx_array_t and ngx_list_t are std::vector, ngx_queue_t and ngx_rbtree_t are
/// containers of Boost.Intrusive, ngx_int_t is int or Rc, ngx_uint_t is std::size_t, ngx_flag_t is
/// bool.
namespace ngx {

/// The result of most of nginx's functions. `again`: call again when the descriptor is ready.
/// `declined`: the function did not handle it. `done`: another function continues the work.
///
/// nginx: NGX_OK, NGX_ERROR, NGX_AGAIN, NGX_BUSY, NGX_DONE, NGX_DECLINED, NGX_ABORT
enum class [[nodiscard]] Rc : int{
    ok = 0, error = -1, again = -2, busy = -3, done = -4, declined = -5, abort = -6,
};

/// recv, send and similar functions return a number of bytes or one of these two.
inline constexpr ssize_t io_error = static_cast<ssize_t>(Rc::error);
inline constexpr ssize_t io_again = static_cast<ssize_t>(Rc::again);

/// An errno.
///
/// nginx: ngx_err_t
using Err = int;

/// A time or a duration in ms, and the difference of two times.
///
/// nginx: ngx_msec_t, ngx_msec_int_t
using Msec = std::uint64_t;
using MsecInt = std::int64_t;

/// nginx: NGX_INVALID_FILE
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

/// Called on the loop's thread when the event has occurred or its timer has expired.
///
/// nginx: ngx_event_handler_pt
using EventHandler = void (*)(Event& ev) noexcept;

/// Called on the loop's thread for a new connection, which the handler owns from then on.
///
/// nginx: ngx_connection_handler_pt
using ConnectionHandler = void (*)(Connection& c) noexcept;

}  // namespace ngx
