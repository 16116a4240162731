mod net;
mod scenarios;
