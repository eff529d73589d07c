#include "row_pass.hpp"

namespace mixeff::rows {

Pass gamma_pass(const char *link) {
    static const Named list[] = {
        {"inverse", pass_at<Gamma<Inverse>>},
        {"log", pass_at<Gamma<Log>>},
        {"identity", pass_at<Gamma<Identity>>},
    };
    return find(list, link);
}

Pass inverse_gaussian_pass(const char *link) {
    static const Named list[] = {
        {"1/mu^2", pass_at<InverseGaussian<InverseSquare>>},
        {"inverse", pass_at<InverseGaussian<Inverse>>},
        {"log", pass_at<InverseGaussian<Log>>},
        {"identity", pass_at<InverseGaussian<Identity>>},
    };
    return find(list, link);
}

Pass gaussian_pass(const char *link) {
    static const Named list[] = {
        {"identity", pass_at<Gaussian<Identity>>},
        {"log", pass_at<Gaussian<Log>>},
        {"inverse", pass_at<Gaussian<Inverse>>},
    };
    return find(list, link);
}

}  // namespace mixeff::rows
