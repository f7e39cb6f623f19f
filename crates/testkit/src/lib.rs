//! Servers, scripted clients and networks for tests.
