//! HTTP listeners: their keys, their routes, and every error with its exact words.
