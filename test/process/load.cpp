#include "test/process/load.hpp"

#include <exception>

#include "test/process/server.hpp"

namespace ngx::test::process {

Load::Load(std::uint16_t return_port, std::uint16_t echo_port, std::size_t askers,
           std::size_t long_lived)
{
    for (std::size_t i = 0; i < askers; ++i) {
        threads_.emplace_back([=, this](const std::stop_token& stop) { ask(stop, return_port); });
    }
    if (long_lived > 0) {
        threads_.emplace_back(
            [=, this](const std::stop_token& stop) { echo(stop, long_lived, echo_port); });
    }
}

void Load::wait_for_answers(std::size_t more) const
{
    const std::size_t wanted = answers_ + more;
    wait_until("clients are answered", [&] { return answers_ >= wanted; });
}

void Load::ask(const std::stop_token& stop, std::uint16_t port)
{
    while (!stop.stop_requested()) {
        try {
            const std::string text = Client(port).receive_all();
            const std::lock_guard lock(mutex_);
            texts_.insert(text);
            ++answers_;
        } catch (const std::exception& error) {
            note_error(error.what());
        }
    }
}

void Load::echo(const std::stop_token& stop, std::size_t long_lived, std::uint16_t port)
{
    try {
        std::vector<Client> clients;
        for (std::size_t i = 0; i < long_lived; ++i) {
            clients.emplace_back(port);
        }
        while (!stop.stop_requested()) {
            for (const Client& client : clients) {
                const std::string text = std::to_string(++messages_);
                if (client.echo(text) != text) {
                    note_error("a message came back as another");
                }
            }
        }
        for (const Client& client : clients) {
            client.finish();
        }
        for (const Client& client : clients) {
            if (!client.receive_all().empty()) {
                note_error("more came back than was sent");
            }
        }
    } catch (const std::exception& error) {
        note_error(error.what());
    }
}

void Load::note_error(const std::string& what)
{
    const std::lock_guard lock(mutex_);
    errors_ += what + "\n";
}

}  // namespace ngx::test::process
