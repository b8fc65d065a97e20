// collector/analysis/distributions.h
//
// The few tails and quantiles that the analysis asks for. Boost.Math's templates are compiled in distributions.cc
// alone, because each file that includes them takes half a minute to build.
#pragma once

namespace camprobe::analysis {

// P(X > x) for X Student's t with `df` degrees of freedom, and the x for which it is `probability`.
double student_t_tail(double df, double x);
double student_t_above(double df, double probability);

// P(X > z) for X standard normal.
double normal_tail(double z);

// The x that X chi-squared with `df` degrees of freedom exceeds with `probability`, or stays below with `probability`.
double chi_squared_above(double df, double probability);
double chi_squared_below(double df, double probability);

// P(n, mean), the regularised lower incomplete gamma function: P(X >= n) for X Poisson with that mean.
double gamma_lower(double n, double mean);

}  // namespace camprobe::analysis
