#pragma once

#include <chrono>

#include "test/support/process.hpp"

namespace ngx::contract {

/// Two ends that know each other, neither of them blocking. `own` becomes a connection's, which
/// closes it.
struct Ends {
    int own = -1;
    test::Fd peer{};
};

/// All of these throw when the system refuses.
Ends socket_pair();
Ends socket_pair_with_high_peer(int from);  // the peer's number is not below, if there is one
Ends tcp_pair();                            // with small buffers
Ends pipe_to_read();
Ends pipe_to_write();
Ends refused_datagrams();  // the peer refuses what it is sent

/// A TCP socket that is not connected.
int tcp_socket();

/// A TCP listener of the loopback address, at a port of the system's choice.
int listener();

/// A socket that is being connected to the listener, without waiting for it.
int connect_to(int listening);

/// Begins to connect a socket to the address of another, without waiting for it.
void start_connect(int socket, int bound);

/// Whether the peer of a TCP socket has not answered yet.
bool is_connecting(int socket);

/// A socket that is being connected to a port where nobody listens any more.
int connect_to_nobody();

/// Becomes readable once, after the delay.
int timer_in(std::chrono::milliseconds delay);

/// Gives the descriptor another number, which must be free.
int move_to(int fd, int number);

/// Gives the descriptor the lowest free number that is not below `from`; leaves it where it is
/// if the limit of the process is lower.
int move_above(int fd, int from);

/// How many descriptors this process has open.
int open_descriptors();

/// The pending error of a socket, as an errno.
int pending_error(int fd);

/// Closes the socket so that the peer sees a reset.
void reset(test::Fd& socket);

}  // namespace ngx::contract
