#pragma once

#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/types.h>
#include <vector>

#include "test/event/contract/promise.hpp"
#include "test/support/process.hpp"

namespace ngx::contract {

/// Reserves a port of 127.0.0.1, on which only the server can listen.
class Port {
public:
    explicit Port(int type);

    [[nodiscard]] std::uint16_t number() const noexcept { return number_; }

private:
    test::Fd reserved_;
    std::uint16_t number_ = 0;
};

/// A client that waits for answers for at most the subject's patience.
class Client {
public:
    Client(const Subject& subject, const Port& port, int type);

    void send(std::string_view text) const;
    void finish() const;

    /// Receives `size` bytes; fewer if the data ends or no more arrives in time.
    [[nodiscard]] std::string receive(std::size_t size) const;
    [[nodiscard]] std::string receive_all() const { return receive(std::string::npos); }

private:
    test::Fd socket_;
};

/// How the server is started.
struct ServiceConf {
    int workers = 0;  // 0: without a master
    std::string_view events = "";
    std::string_view listen = "";  // parameters for each TCP listener
    bool small_limits = false;     // few files and few pending signals
};

/// The whole server with the subject, in its own processes: a text, echo over TCP and UDP, a
/// proxy to the echo, and a text after a PROXY protocol header. Errors go to the verdict. The
/// destructor ends all processes.
class Service {
public:
    Service(const Subject& subject, Verdict& verdict, const ServiceConf& conf);
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;
    ~Service();

    [[nodiscard]] Client client(const Port& port, int type = SOCK_STREAM) const;
    [[nodiscard]] const Port& echo() const noexcept { return echo_; }
    [[nodiscard]] const Port& proxy() const noexcept { return proxy_; }

    /// Checks that each server of the configuration answers.
    void serves();

    /// Stops the processes until resume(), so that everything that arrives is handled in one turn.
    void pause() const;
    void resume() const;

    /// Returns when the new configuration is in use.
    void reload();

    /// Ends the server gracefully. Checks that it exits normally and has logged no alert.
    void stop();

private:
    void write_conf() const;
    [[noreturn]] void run_server() const;
    void wait_for_start();
    [[nodiscard]] std::string log() const;
    bool wait_for_end(int milliseconds);
    void check_log();

    const Subject& subject_;
    Verdict& verdict_;
    ServiceConf conf_;
    test::TempDir dir_{};
    Port told_;
    Port echo_;
    Port proxy_;
    Port header_;
    Port datagrams_;
    int generation_ = 1;
    pid_t pid_ = -1;
    test::Fd pidfd_{};
    int status_ = -1;  // from waitpid(), after the end
};

}  // namespace ngx::contract
