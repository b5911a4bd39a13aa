#pragma once

#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/types.h>
#include <vector>

#include "test/event/contract/promise.hpp"
#include "test/support/process.hpp"

namespace ngx::contract {

/// Reserves a port of 127.0.0.1, on which a server may listen meanwhile.
class Port {
public:
    explicit Port(int type);

    [[nodiscard]] std::uint16_t number() const noexcept { return number_; }

private:
    test::Fd reserved_;
    std::uint16_t number_ = 0;
};

/// A client that waits for an answer no longer than the subject's patience.
class Client {
public:
    Client(const Subject& subject, const Port& port, int type);

    void send(std::string_view text) const;
    void finish() const;

    /// So many bytes; fewer if the data ends, or nothing more comes.
    [[nodiscard]] std::string receive(std::size_t size) const;
    [[nodiscard]] std::string receive_all() const { return receive(std::string::npos); }

private:
    test::Fd socket_;
};

/// How a server is started.
struct ServiceConf {
    int workers = 0;  // of a master; without one if 0
    std::string_view events = "";
    std::string_view listen = "";  // parameters of each TCP listener
    bool small_limits = false;     // few files, and few signals that may wait
};

/// The whole server, on the event module on trial, in processes of its own: texts, echoes over TCP
/// and UDP, a proxy to the echoes, and texts after a PROXY protocol header. What goes wrong is
/// found by the verdict. The destructor ends all of its processes.
class Service {
public:
    Service(const Subject& subject, Verdict& verdict, const ServiceConf& conf);
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;
    ~Service();

    [[nodiscard]] Client client(const Port& port, int type = SOCK_STREAM) const;
    [[nodiscard]] const Port& echo() const noexcept { return echo_; }
    [[nodiscard]] const Port& proxy() const noexcept { return proxy_; }

    /// Each of its servers answers.
    void serves();

    /// Nothing is done until resume(), so that all that comes meanwhile comes in one turn.
    void pause() const;
    void resume() const;

    /// Returns when the new configuration serves.
    void reload();

    /// Ends it gracefully. It must end well, and have logged no alert.
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
    int status_ = -1;  // as waitpid() says, once it has ended
};

}  // namespace ngx::contract
