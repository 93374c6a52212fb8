package aliyun

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/pagetoken"
	"sluice/controlplane/ram"
	"sluice/controlplane/resource"
)

// RAMCreateUser implements Actions.
func (s *Service) RAMCreateUser(ctx context.Context, c identity.Caller, r *RAMCreateUserRequest) (*RAMCreateUserResponse, error) {
	u, err := s.ram.CreateUser(ctx, c, ram.UserSettings{
		Name: &r.UserName, DisplayName: r.DisplayName, MobilePhone: r.MobilePhone, Email: r.Email, Comments: r.Comments})
	if err != nil {
		return nil, err
	}
	shown := showUser(u)
	return &RAMCreateUserResponse{User: &shown}, nil
}

// RAMGetUser implements Actions.
func (s *Service) RAMGetUser(_ context.Context, c identity.Caller, r *RAMGetUserRequest) (*RAMGetUserResponse, error) {
	u, err := s.ram.User(c.Account, r.UserName)
	if err != nil {
		return nil, err
	}
	shown := RAMGetUserUser(showUser(u))
	return &RAMGetUserResponse{User: &shown}, nil
}

// RAMUpdateUser implements Actions.
func (s *Service) RAMUpdateUser(ctx context.Context, c identity.Caller, r *RAMUpdateUserRequest) (*RAMUpdateUserResponse, error) {
	u, err := s.ram.ChangeUser(ctx, c, r.UserName, ram.UserSettings{
		Name: r.NewUserName, DisplayName: r.NewDisplayName, MobilePhone: r.NewMobilePhone, Email: r.NewEmail, Comments: r.NewComments})
	if err != nil {
		return nil, err
	}
	shown := RAMUpdateUserUser(showUser(u))
	return &RAMUpdateUserResponse{User: &shown}, nil
}

// RAMDeleteUser implements Actions.
func (s *Service) RAMDeleteUser(ctx context.Context, c identity.Caller, r *RAMDeleteUserRequest) (*RAMDeleteUserResponse, error) {
	return &RAMDeleteUserResponse{}, s.ram.DeleteUser(ctx, c, r.UserName)
}

// RAMListUsers implements Actions.
func (s *Service) RAMListUsers(_ context.Context, c identity.Caller, r *RAMListUsersRequest) (*RAMListUsersResponse, error) {
	list, next, err := partOf(s.ram.Users(c.Account), func(u *resource.User) string { return u.Name }, c.Action+" "+c.Account, r.Marker, r.MaxItems)
	if err != nil {
		return nil, err
	}
	a := &RAMListUsersResponse{IsTruncated: next != "", Marker: next}
	for _, u := range list {
		a.Users.User = append(a.Users.User, RAMListUsersUser(showUser(u)))
	}
	return a, nil
}

func showUser(u *resource.User) RAMCreateUserUser {
	return RAMCreateUserUser{UserId: u.ID, UserName: u.Name, DisplayName: u.DisplayName, MobilePhone: u.MobilePhone, Email: u.Email,
		Comments: u.Comments, CreateDate: timestamp(u.CreatedAt), UpdateDate: timestamp(u.Updated)}
}

// markers are what tells where the next part of a listing of RAM's begins.
var markers = pagetoken.Form{Encode: pagetoken.URL.EncodeToString, Decode: pagetoken.URL.DecodeString, Sum: 8}

// partOf returns those of a list that an answer has: as many as most at most, in the order
// of their keys, from behind where the marker of the answer before has it; and the marker
// for what follows, empty if nothing does. What comes or goes in between neither repeats
// others nor hides them.
func partOf[R any](list []R, key func(R) string, query string, marker *string, most int) (part []R, next string, _ error) {
	slices.SortFunc(list, func(a, b R) int { return cmp.Compare(key(a), key(b)) })
	if given(marker) != "" {
		place, ok := markers.Place(query, *marker)
		if !ok {
			return nil, "", invalidParameter("Marker").because("it is to be the Marker of an answer to the same query.")
		}
		i, found := slices.BinarySearchFunc(list, string(place), func(r R, at string) int { return strings.Compare(key(r), at) })
		if found {
			i++
		}
		list = list[i:]
	}
	if len(list) <= most {
		return list, "", nil
	}
	list = list[:most]
	return list, markers.Make(query, []byte(key(list[most-1]))), nil
}

// RAMListGroupsForUser implements Actions. There are no groups.
func (s *Service) RAMListGroupsForUser(_ context.Context, c identity.Caller, r *RAMListGroupsForUserRequest) (*RAMListGroupsForUserResponse, error) {
	_, err := s.ram.User(c.Account, r.UserName)
	return &RAMListGroupsForUserResponse{}, err
}

// RAMGetLoginProfile implements Actions.
func (s *Service) RAMGetLoginProfile(_ context.Context, c identity.Caller, r *RAMGetLoginProfileRequest) (*RAMGetLoginProfileResponse, error) {
	return nil, s.without(c, r.UserName, fault.LoginProfileNotFound)
}

// RAMDeleteLoginProfile implements Actions.
func (s *Service) RAMDeleteLoginProfile(_ context.Context, c identity.Caller, r *RAMDeleteLoginProfileRequest) (*RAMDeleteLoginProfileResponse, error) {
	return nil, s.without(c, r.UserName, fault.LoginProfileNotFound)
}

// RAMGetUserMFAInfo implements Actions.
func (s *Service) RAMGetUserMFAInfo(_ context.Context, c identity.Caller, r *RAMGetUserMFAInfoRequest) (*RAMGetUserMFAInfoResponse, error) {
	return nil, s.without(c, r.UserName, fault.MFADeviceNotFound)
}

// RAMUnbindMFADevice implements Actions.
func (s *Service) RAMUnbindMFADevice(_ context.Context, c identity.Caller, r *RAMUnbindMFADeviceRequest) (*RAMUnbindMFADeviceResponse, error) {
	return nil, s.without(c, r.UserName, fault.MFADeviceNotFound)
}

// without refuses what is asked of something that no user has here. Clients that delete a
// user with all that it has ask for it, and expect that.
func (s *Service) without(c identity.Caller, user string, what fault.Reason) error {
	if _, err := s.ram.User(c.Account, user); err != nil {
		return err
	}
	return fault.New(what, "user %q of account %s: no user has any", user, c.Account)
}
