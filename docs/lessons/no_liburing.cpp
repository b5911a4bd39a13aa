/// \file
/// Lesson 15 in a build without liburing.

#include "docs/lessons/lesson.hpp"

int main()
{
    ngx::lesson::skip("this build has no liburing: install liburing 2.3 or later, and run "
                      "\"meson setup --reconfigure\" for the build");
}
