"""From runs to decisions: which of two or more differs, by how much, and how sure that is."""
