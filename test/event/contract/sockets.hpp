#pragma once

#include <chrono>

#include "test/support/process.hpp"

namespace ngx::contract {

/// Two connected, non-blocking ends. A connection takes over `own` and closes it.
struct Ends {
    int own = -1;
    test::Fd peer{};
};

/// These functions open two ends. They throw if a system call fails.
Ends socket_pair();
Ends socket_pair_with_high_peer(int from);  // the peer's number is `from` or more, if possible
Ends tcp_pair();                            // with small buffers
Ends pipe_to_read();
Ends pipe_to_write();
Ends refused_datagrams();  // the peer rejects the datagrams

/// Opens a TCP socket that is not connected.
int tcp_socket();

/// Opens a TCP listener at a loopback port that the system chooses.
int listener();

/// Opens a socket and starts to connect it to the listener, without waiting.
int connect_to(int listening);

/// Starts to connect a socket to the address of another one, without waiting.
void start_connect(int socket, int bound);

/// Whether a TCP socket still waits for its peer's answer.
bool is_connecting(int socket);

/// Opens a socket and starts to connect it to a port at which no socket listens.
int connect_to_nobody();

/// Returns a descriptor that becomes readable once, after the delay.
int timer_in(std::chrono::milliseconds delay);

/// Gives a descriptor another number, which must be free. Returns the number.
int move_to(int fd, int number);

/// Gives a descriptor the lowest free number that is at least `from`. Leaves it unchanged if the
/// process's limit is lower. Returns the number.
int move_above(int fd, int from);

/// Returns the number of open descriptors of this process.
int open_descriptors();

/// Returns the type of a socket; 0 for another descriptor.
int socket_type(int fd);

/// Returns the pending error of a socket, as an errno.
int pending_error(int fd);

/// Closes the socket in such a way that the peer sees a reset.
void reset(test::Fd& socket);

}  // namespace ngx::contract
