// Prints the place and the words of each directive of a configuration, in nginx's order.
#include <iostream>

#include "tools/conf/conf.hpp"

int main(int argc, char** argv)
{
    ngx::conf::Tree tree;
    tree.read(argc > 1 ? argv[1] : "/etc/nginx/nginx.conf");

    tree.walk([](const ngx::conf::Directive& directive) {
        if (!directive.is_comment()) {
            const ngx::conf::Place place = directive.place();
            std::cout << place.file << ':' << place.line << ": " << directive.name();
            for (const std::string& arg : directive.args()) {
                std::cout << " [" << arg << ']';
            }
            std::cout << '\n';
        }
        return true;  // its block, or the files that it includes, too
    });

    for (const ngx::conf::Error& error : tree.errors()) {
        std::cerr << tree.message(error) << '\n';
    }
    return tree.errors().empty() ? 0 : 1;
}
