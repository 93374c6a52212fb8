package sorted

// A node is never changed once its set is returned: what changes is copied, from there up
// to the root.

func (n *node[T]) len() int {
	if n == nil {
		return 0
	}
	return int(n.size)
}

func (n *node[T]) count() { n.size = int32(1 + n.left.len() + n.right.len()) }

// above reports whether n is nearer to the root than another node with another key.
func (n *node[T]) above(o *node[T]) bool {
	if n.hash != o.hash {
		return n.hash > o.hash
	}
	return n.item.Compare(o.item) < 0
}

// linked returns a node like n with these children.
func (n *node[T]) linked(left, right *node[T]) *node[T] {
	c := &node[T]{item: n.item, hash: n.hash, left: left, right: right}
	c.count()
	return c
}

func (n *node[T]) each(yield func(T) bool) bool {
	return n == nil || n.left.each(yield) && yield(n.item) && n.right.each(yield)
}

func (n *node[T]) from(key T, yield func(T) bool) bool {
	if n == nil {
		return true
	}
	if n.item.Compare(key) < 0 {
		return n.right.from(key, yield)
	}
	return n.left.from(key, yield) && yield(n.item) && n.right.each(yield)
}

func (n *node[T]) with(item T, hash uint32) *node[T] {
	added := &node[T]{item: item, hash: hash, size: 1}
	if n == nil {
		return added
	}
	switch c := item.Compare(n.item); {
	case c == 0:
		if item == n.item {
			return n
		}
		added.left, added.right, added.size = n.left, n.right, n.size
		return added
	case added.above(n):
		added.left, _, added.right = n.split(item)
		added.count()
		return added
	case c < 0:
		if left := n.left.with(item, hash); left != n.left {
			return n.linked(left, n.right)
		}
	default:
		if right := n.right.with(item, hash); right != n.right {
			return n.linked(n.left, right)
		}
	}
	return n
}

func (n *node[T]) without(key T) *node[T] {
	if n == nil {
		return nil
	}
	switch c := key.Compare(n.item); {
	case c == 0:
		return merge(n.left, n.right)
	case c < 0:
		if left := n.left.without(key); left != n.left {
			return n.linked(left, n.right)
		}
	default:
		if right := n.right.without(key); right != n.right {
			return n.linked(n.left, right)
		}
	}
	return n
}

// split returns what is below a key, the node that has it, or nil, and what is above.
func (n *node[T]) split(key T) (below, at, above *node[T]) {
	if n == nil {
		return nil, nil, nil
	}
	switch c := key.Compare(n.item); {
	case c < 0:
		below, at, above = n.left.split(key)
		return below, at, n.linked(above, n.right)
	case c > 0:
		below, at, above = n.right.split(key)
		return n.linked(n.left, below), at, above
	}
	return n.left, n, n.right
}

// merge joins two trees, all keys of the first being below those of the second.
func merge[T Item[T]](a, b *node[T]) *node[T] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.above(b):
		return a.linked(a.left, merge(a.right, b))
	}
	return b.linked(merge(a, b.left), b.right)
}

// differ yields what a and b differ in. A node that is in both trees is the root of the
// same keys in both, so that what is shared is met as a pair and passed over.
func differ[T Item[T]](a, b *node[T], yield func(Change[T]) bool) bool {
	switch {
	case a == b:
		return true
	case a == nil:
		return b.each(func(item T) bool { return yield(Change[T]{New: item, Is: true}) })
	case b == nil:
		return a.each(func(item T) bool { return yield(Change[T]{Old: item, Was: true}) })
	}
	switch c := a.item.Compare(b.item); {
	case c == 0:
		return differ(a.left, b.left, yield) &&
			(a.item == b.item || yield(Change[T]{Old: a.item, New: b.item, Was: true, Is: true})) &&
			differ(a.right, b.right, yield)
	case a.above(b):
		below, _, above := b.split(a.item) // b has not a's key: it would be above its own root
		return differ(a.left, below, yield) && yield(Change[T]{Old: a.item, Was: true}) && differ(a.right, above, yield)
	}
	below, _, above := a.split(b.item)
	return differ(below, b.left, yield) && yield(Change[T]{New: b.item, Is: true}) && differ(above, b.right, yield)
}
